"""A method so small that a whole training takes a blink, with everything a method may ask for."""

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmx.core.batch import Batch
from mmx.core.method import Method, ParameterGroup, Schedule, Stage
from mmx.core.record import Record
from mmx.core.reporter import SilentReporter
from mmx.core.task import Retrieval
from mmx.engine.processes import SINGLE, Processes
from mmx.engine.split_data import SplitData
from mmx.engine.train_options import TrainOptions, TrainResult
from mmx.engine.trainer import train
from mmx.store.run import RunFolder

WIDTH = 6


@dataclass(frozen=True)
class MemoryImages:
    features: Tensor

    def read(self, rows: Tensor, variants: Sequence[int] | None) -> dict[str, Tensor]:
        moved = torch.tensor([seed % 7 / 100 for seed in variants or [0] * len(rows)])
        return {"image_features": self.features[rows] + moved[:, None]}


@dataclass(frozen=True)
class MemoryTexts:
    features: Tensor
    lengths = None

    def read(self, captions: Tensor) -> dict[str, Tensor]:
        return {"text_features": self.features[captions]}


class TwoLayers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.image = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Dropout(0.2))
        self.text = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.LayerNorm(WIDTH), nn.Dropout(0.2))
        self.log_scale = nn.Parameter(torch.tensor(2.0))
        self.register_buffer("seen", torch.zeros(()))


def encode_image(model: TwoLayers, batch: Batch) -> Tensor:
    return functional.normalize(model.image(batch.image_features), dim=-1)


def encode_text(model: TwoLayers, batch: Batch) -> Tensor:
    return functional.normalize(model.text(batch.text_features), dim=-1)


def stage(name: str = "all", prefixes: tuple[str, ...] = ("",), **changes: Any) -> Stage:
    group = ParameterGroup("group", prefixes, lr=changes.pop("lr", 0.02), weight_decay=0.01)
    plain = {"epochs": 3, "batch_size": 4, "captions_per_image": 2, "clip_norm": 1.0}
    return Stage(name=name, groups=(group,), **{**plain, **changes})


EVERYTHING = (
    stage(
        "first",
        ("image", "log"),
        average=0.9,
        schedule=Schedule("cosine", warmup=0.2),
        epochs=2,
    ),
    stage("second", ("",), schedule=Schedule("plateau", patience=0, factor=0.5), average=0.5),
)
"""Two stages with all that a state must remember: averages, plateau, warm-up, frozen parts."""


def make_data(images: int = 23, seed: int = 0) -> SplitData:
    random = torch.Generator().manual_seed(seed)
    counts = [1 + i % 4 for i in range(images)]
    records = [
        Record(f"r{i}", "train", f"{i}.jpg", tuple(f"caption {i}.{j}" for j in range(count)))
        for i, count in enumerate(counts)
    ]
    features = torch.randn(images, WIDTH, generator=random)
    texts = features.flip(1).repeat_interleave(torch.tensor(counts), dim=0)
    texts = texts + 0.1 * torch.randn(texts.shape, generator=random)
    return SplitData(records, MemoryImages(features), MemoryTexts(texts))


def represent(model: TwoLayers, batch: Batch) -> dict[str, Tensor]:
    return {
        "image": encode_image(model, batch),
        "text": encode_text(model, batch),
        "image_group": batch.image_group,
        "text_group": batch.text_group,
    }


def compare(model: TwoLayers, rows: Mapping[str, Tensor], progress: float) -> dict[str, Tensor]:
    model.seen += 1
    scores = model.log_scale.exp() * rows["image"] @ rows["text"].T
    positive = (rows["image_group"][:, None] == rows["text_group"]).to(scores.dtype)
    i2t = -(positive / positive.sum(1, keepdim=True) * scores.log_softmax(1)).sum(1).mean()
    t2i = functional.cross_entropy(scores.T, positive.T.argmax(1))
    return {"total": i2t + t2i * (1 - progress / 2), "i2t": i2t, "t2i": t2i}


def contrast(model: TwoLayers, batch: Batch, progress: float) -> dict[str, Tensor]:
    return compare(model, represent(model, batch), progress)


def make_method(stages: Sequence[Stage], loss: Callable | None = None) -> Method:
    """With a loss of a test's own, the rows are the batch itself."""

    def compare_batches(model: nn.Module, rows: Mapping[str, Tensor], progress: float) -> dict[str, Tensor]:
        return loss(model, Batch(**rows), progress)

    return Method(
        summary="stub",
        settings=object,
        presets={},
        towers=lambda settings: {},
        build=lambda settings, towers: TwoLayers(),
        stages=lambda settings: tuple(stages),
        represent=represent if loss is None else (lambda model, batch: batch.filled()),
        compare=compare if loss is None else compare_batches,
        tasks=(Retrieval(encode_image=encode_image, encode_text=encode_text),),
    )


def score(data: SplitData) -> Callable[[nn.Module], dict[str, float]]:
    """How far the right pairs stand out: a metric that is different after each epoch."""

    def validate(model: nn.Module) -> dict[str, float]:
        batch = data.batch(torch.arange(len(data.records)), torch.arange(int(data.caption_offsets[-1])))
        with torch.no_grad():
            scores = encode_image(model, batch) @ encode_text(model, batch).T
        right = batch.image_group[:, None] == batch.text_group
        return {"rsum": float(scores[right].mean() - scores[~right].mean())}

    return validate


def make_model(seed: int = 0) -> TwoLayers:
    torch.manual_seed(seed)
    return TwoLayers()


def make_run(path: Path) -> RunFolder:
    """The run at a path, begun if there is none."""
    if (path / "settings.json").is_file():
        return RunFolder.open(path)
    facts = {"method": "stub", "dataset": "none", "manifest_fingerprint": "0", "settings": {}, "towers": {}}
    return RunFolder.create(path, {**facts, "tasks": ["retrieval"], "seed": 0})


@dataclass
class Training:
    """A training that can be run again, and go on."""

    path: Path
    stages: Sequence[Stage] = EVERYTHING
    loss: Callable | None = None
    data: SplitData = field(default_factory=make_data)
    options: TrainOptions = field(default_factory=lambda: TrainOptions(log_every=2, save_steps=2))
    model: TwoLayers = field(default_factory=make_model)
    validate: Callable | None = None
    processes: Processes = SINGLE
    in_step: Callable[[int], None] | None = None
    """step from 1 -> what happens in the midst of it."""

    def __call__(self) -> TrainResult:
        method, run = make_method(self.stages, self.loss), make_run(self.path)
        if self.in_step is not None:
            method = replace(method, compare=_interrupted(method.compare, self.in_step))
        validate = self.validate or score(self.data)
        given = (self.model, self.data, run, self.options, validate, SilentReporter(), self.processes)
        return train(method, None, *given)


def _interrupted(compare: Callable, in_step: Callable[[int], None]) -> Callable:
    steps = itertools.count(1)

    def compare_later(*given: Any) -> dict[str, Tensor]:
        in_step(next(steps))
        return compare(*given)

    return compare_later


def read_log(path: Path, without: tuple[str, ...] = ("seconds", "val_seconds")) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (path / "log.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in without} for line in lines]
