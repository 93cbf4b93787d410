"""What processes do together in tests: trainings of the stub, and of every method over stub towers."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mmx.core.batch import Batch
from mmx.core.discover import find_method
from mmx.core.method import Method
from mmx.core.record import Record
from mmx.core.reporter import SilentReporter
from mmx.core.settings import resolve
from mmx.engine.loader import BatchReader
from mmx.engine.processes import Processes, opened
from mmx.engine.split_data import SplitData
from mmx.engine.stage_plan import plan_stages
from mmx.engine.stage_run import StageRun, open_accelerator
from mmx.engine.train_options import TrainOptions
from mmx.engine.trainer import train
from mmx.store.run import RunFolder
from tests.engine.stub_training import Training, TwoLayers, make_data, make_method, make_run, stage
from tests.methods import test_post_contract as posts
from tests.methods.doubles import build, count_assets, make_batch, take

CPU = torch.device("cpu")
Weights = dict[str, Tensor]


def make_sure(dropout: float = 0.0) -> TwoLayers:
    """The stub in float64, always with the same weights."""
    torch.manual_seed(0)
    model = TwoLayers().double()
    model.image[1].p = model.text[2].p = dropout
    return model


def double_data(images: int = 23) -> SplitData:
    """The stub's data in float64."""
    data = make_data(images)
    wide = [replace_features(source) for source in (data.images, data.texts)]
    return SplitData(data.records, *wide)


def replace_features(source: Any) -> Any:
    """A source in memory, in float64."""
    return dataclasses.replace(source, features=source.features.double())


@dataclass(frozen=True)
class StubJob:
    """The stub trained in float64; returns its weights."""

    path: Path
    stages: Sequence[Any] = (stage(epochs=4),)
    images: int = 23
    dropout: float = 0.0
    options: TrainOptions = dataclasses.field(default_factory=lambda: TrainOptions(log_every=2, save_steps=2))
    patience: float = 60.0
    in_step: Callable[[int, int], None] | None = None
    """(step from 1, rank): what happens in the midst of a step."""
    validate: Callable[[nn.Module], dict[str, float]] | None = None
    break_data: Callable[[SplitData, int], None] | None = None
    """(data, rank): what is wrong with the data of a process."""

    def __call__(self) -> Weights:
        with opened(CPU, self.patience, beat=0.1) as processes:
            return self.train_in(processes)

    def train_in(self, processes: Processes) -> Weights:
        """The same, as one of these."""
        processes.in_turn(lambda: make_run(self.path))
        model, data = make_sure(self.dropout), double_data(self.images)
        if self.break_data is not None:
            self.break_data(data, processes.rank)
        in_step = self.in_step and partial(self.in_step, rank=processes.rank)
        Training(
            self.path,
            self.stages,
            data=data,
            options=self.options,
            model=model,
            validate=self.validate,
            processes=processes,
            in_step=in_step,
        )()
        return {name: value.clone() for name, value in model.state_dict().items()}


def gradients(images: int, batch_size: int, chunk: int | None = None, dropout: float = 0.0) -> Weights:
    """Of the last batch of an epoch of the stub, after all processes added theirs up."""
    with opened(CPU) as processes:
        model, data = make_sure(dropout), double_data(images)
        method = make_method([stage(batch_size=batch_size)])
        (plan,) = plan_stages(method, None, model, data, 0, chunk, processes)
        run = StageRun(plan, method, model, 0, open_accelerator(CPU, "fp32"), processes)
        pieces = BatchReader(data, plan.order, plan.cut)[(1, plan.order.batches - 1)]
        run.compute_gradients(pieces, 0.25, 3)
        return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


class NoTexts:
    """Stands where texts are read otherwise."""

    lengths = None


@dataclass(frozen=True)
class HeldData(SplitData):
    """A split that is held in memory as a whole."""

    make: Callable[[Tensor, Tensor], Batch] | None = None

    def batch(self, rows: Tensor, captions: Tensor, variants: Sequence[int] | None = None) -> Batch:
        """[B], [C] -> the images and captions, with floating point numbers of 64 bits."""
        made = self.make(rows, captions).filled()
        wide = {name: value.double() if value.is_floating_point() else value for name, value in made.items()}
        return Batch.of(wide)


def without_chance(method: Method, **changes: Any) -> Any:
    """The settings of the tiny preset without any dropout."""
    names = [field.name for field in dataclasses.fields(method.settings)]
    off = {name: 0.0 for name in names if "drop" in name}
    layers = [("tiny", method.presets["tiny"]), ("test", {**off, **changes})]
    return resolve(method.settings, layers, "")[0]


def pairs_of(method: Method, settings: Any) -> tuple[Method, HeldData, nn.Module]:
    """13 images with two captions each, over stub towers."""
    batch = make_batch(13, 2)
    records = [Record(str(row), "train", f"{row}.jpg", ("a", "b")) for row in range(13)]
    data = HeldData(records, None, NoTexts(), make=partial(take, batch))
    return method.with_task(settings, count_assets(method, settings)), data, build(method, settings)


def posts_of(method: Method, settings: Any) -> tuple[Method, HeldData, nn.Module]:
    """8 posts, of which two have no picture."""
    built = posts.Built(method, settings)

    def make(rows: Tensor, captions: Tensor) -> Batch:
        return built.batch((rows % len(posts.PICTURED)).tolist())

    records = [Record(str(row), "train", None, ("a",)) for row in range(8)]
    return built.method, HeldData(records, None, NoTexts(), posts=True, make=make), built.model


def train_method(name: str, changes: dict[str, Any], path: Path) -> Weights:
    """A method's tiny preset over stub towers in float64: 20 steps of 5 images or 3, dropout off."""
    with opened(CPU) as processes:
        found = find_method(name)
        settings = without_chance(found, **changes)
        method, data, model = (posts_of if name in posts.METHODS else pairs_of)(found, settings)
        stages = tuple(
            dataclasses.replace(chosen, epochs=7, batch_size=5, captions_per_image=None)
            for chosen in method.stages(settings)
            if chosen.epochs
        )
        method = dataclasses.replace(method, stages=lambda settings: stages)
        facts = {"method": name, "dataset": "none", "manifest_fingerprint": "0", "settings": {}, "towers": {}}
        if processes.first:
            RunFolder.create(path, {**facts, "tasks": [], "seed": 0})
        processes.exchange()
        given = (model.double(), data, RunFolder.open(path), TrainOptions())

        def validate(model: nn.Module) -> dict[str, float]:
            return {method.tasks[0].primary_metric: 0.0}

        train(method, settings, *given, validate, SilentReporter(), processes)
        return {key: value.clone() for key, value in model.state_dict().items()}
