"""What a run says of each item of a split, on disk, so that runs are compared without labelling again.

Beside `rank_files`, for runs that name entities, tell sentiments or sort photos into classes.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import torch
from torch import Tensor

from mmx.core.errors import ArtifactError
from mmx.store.manifest import Manifest
from mmx.store.run import RunFolder
from mmx.store.tensors import TensorFile, save_tensors
from mmx.tasks.resampling import Sums
from mmx.workflows.answer_file import open_answers
from mmx.workflows.labelled import Interval, SortedSplit, TaggedSplit

FORMAT = "mmx.labels"
VERSION = "1"
GOLD, PREDICTED, LENGTHS = "gold", "predicted", "lengths"


@dataclass(frozen=True)
class LabelTable:
    """What was said of every item of a split, beside what is right, and what that was measured of and on."""

    found: TaggedSplit | SortedSplit
    fingerprint: str
    """Of the weights."""
    dataset: str
    manifest_fingerprint: str
    split: str
    task: str
    primary_metric: str

    @property
    def about(self) -> dict[str, str]:
        """What it was measured of and on; equal for tables that may stand for each other."""
        names = ("fingerprint", "dataset", "manifest_fingerprint", "split", "task", "primary_metric")
        return {name: getattr(self, name) for name in names}

    @property
    def metrics(self) -> dict[str, float]:
        """By name, in percent."""
        return self.found.metrics

    def intervals(self, seed: int) -> dict[str, Interval]:
        """The 95% interval of each metric."""
        return self.found.intervals(seed)

    @property
    def sums(self) -> Sums:
        """What the items add up to, to compare runs."""
        return self.found.sums

    @property
    def definitions(self) -> tuple[str, ...]:
        """What the numbers and a comparison of them mean."""
        return (*self.found.definitions, self.found.paired)


def label_file(run: Path, dataset: str, split: str) -> Path:
    """Where a run keeps what it says of a split."""
    return run / "labels" / f"{dataset}-{split}.safetensors"


def save_labels(run: Path, table: LabelTable) -> None:
    """Write what was said into the run, in place of what it had of this split.

    Raises:
        ResourceError: when the disk is full or closed.
    """
    found = table.found
    if isinstance(found, SortedSplit):
        names, left_out = list(found.classes), found.unlabelled
        tensors = {GOLD: found.gold, PREDICTED: found.predicted}
    else:
        names = sorted({tag for tags in (*found.gold, *found.predicted) for tag in tags})
        left_out = found.unread
        place = {name: number for number, name in enumerate(names)}
        lengths = torch.tensor([len(tags) for tags in found.gold], dtype=torch.int64)
        tensors = {GOLD: _flat(found.gold, place), PREDICTED: _flat(found.predicted, place), LENGTHS: lengths}
    header = {"format": FORMAT, "version": VERSION, "names": json.dumps(names), "left_out": str(left_out)}
    save_tensors(label_file(run, table.dataset, table.split), tensors, {**header, **table.about})


def load_labels(run: Path, wanted: dict[str, str]) -> LabelTable | None:
    """What a run has kept; None when there is nothing, or it is of other weights or of another manifest.

    Raises:
        ArtifactError: when the file is not what mmx wrote.
    """
    path = label_file(run, wanted["dataset"], wanted["split"])
    file = open_answers(path, FORMAT, VERSION)
    if file is None:
        return None
    if any(file.metadata.get(name) != value for name, value in wanted.items()):
        return None
    try:
        found = _read(file)
        rest = {name: file.metadata[name] for name in ("task", "primary_metric")}
    except (KeyError, ValueError, TypeError) as error:
        raise ArtifactError(
            f"'{path}' does not hold one label an item ({error}). Delete it and evaluate again."
        ) from error
    return LabelTable(found, **{**wanted, **rest})


def kept_labels(
    run: RunFolder, manifest: Manifest, split: str, label: Callable[[], LabelTable]
) -> LabelTable:
    """What a run says of a split: from its file where that is of these weights and this data, else labelled
    and kept.

    Raises:
        ArtifactError: when the file is broken.
        And whatever `label` raises.
    """
    wanted = {
        "fingerprint": run.fingerprint,
        "dataset": manifest.name,
        "manifest_fingerprint": manifest.fingerprint,
        "split": split,
    }
    found = load_labels(run.path, wanted)
    if found is not None:
        return found
    with run.locked():
        table = label()
        save_labels(run.path, table)
    return table


def _read(file: TensorFile) -> TaggedSplit | SortedSplit:
    """What a file says.

    Raises:
        KeyError, ValueError, TypeError: when it does not fit together.
    """
    names, left_out = json.loads(file.metadata["names"]), int(file.metadata["left_out"])
    tensors = file.read_all()
    gold, predicted = tensors[GOLD], tensors[PREDICTED]
    if gold.shape != predicted.shape or gold.dim() != 1 or {gold.dtype, predicted.dtype} != {torch.int64}:
        raise ValueError("labels and predictions are not as many")
    for numbers in (gold, predicted):
        if len(numbers) and not 0 <= int(numbers.min()) <= int(numbers.max()) < len(names):
            raise ValueError("a label has no name")
    if LENGTHS not in tensors:
        return SortedSplit(names, gold, predicted, left_out)
    lengths = tensors[LENGTHS].tolist()
    if sum(lengths) != len(gold) or min(lengths, default=0) < 0:
        raise ValueError("the posts have other lengths")
    return TaggedSplit(_posts(gold, lengths, names), _posts(predicted, lengths, names), left_out)


def _flat(posts: Sequence[Sequence[str]], place: dict[str, int]) -> Tensor:
    return torch.tensor([place[tag] for tags in posts for tag in tags], dtype=torch.int64)


def _posts(numbers: Tensor, lengths: Sequence[int], names: Sequence[str]) -> list[tuple[str, ...]]:
    tags = [names[number] for number in numbers.tolist()]
    ends = list(accumulate(lengths))
    return [tuple(tags[end - length : end]) for end, length in zip(ends, lengths, strict=True)]
