"""The ranks of a run over a split, on disk, so that runs are compared without embedding anything again."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from mmx.core.errors import ArtifactError
from mmx.store.tensors import save_tensors
from mmx.tasks import rank_sums, resampling
from mmx.tasks.recall import RankLists, Ranks
from mmx.tasks.retrieval import definitions, primary_metric, retrieval_metrics
from mmx.workflows.answer_file import open_answers

FORMAT = "mmx.ranks"
VERSION = "1"
TENSORS = ("i2t", "t2i", "image_group", "text_group")
LISTS = ("precision", "inverse")
"""Beside them, where the captions' whole lists count."""
ONE_STAGE = "none"
"""What is said of the second stage where there is none, or none that has a say; old files say nothing."""


@dataclass(frozen=True)
class RankTable:
    """Where every query of a split found its best right answer, and what that was measured of and on."""

    ranks: Ranks
    image_group: Tensor
    """[N] int64."""
    text_group: Tensor
    """[C] int64."""
    fingerprint: str
    """Of the weights."""
    dataset: str
    manifest_fingerprint: str
    split: str
    second_stage: str = ONE_STAGE
    """How the second stage took part, as asked for: `top 0`, `top 100`, `top all`; or that there is none."""

    @property
    def metrics(self) -> dict[str, float]:
        """By name, in percent, and median ranks."""
        return retrieval_metrics(self.ranks)

    @property
    def primary_metric(self) -> str:
        """The one that weights are chosen by."""
        return primary_metric(self.ranks)

    def intervals(self, seed: int) -> dict[str, tuple[float, float]]:
        """The 95% interval of each metric that has one."""
        return resampling.intervals([self.sums], seed=seed)

    @property
    def sums(self) -> rank_sums.RankSums:
        """What the queries add up to, to compare runs."""
        return rank_sums.RankSums(self.ranks, self.image_group, self.text_group)

    @property
    def definitions(self) -> tuple[str, ...]:
        """What the numbers and a comparison of them mean."""
        return (*definitions(self.ranks).values(), *rank_sums.DEFINITIONS.values())

    @property
    def about(self) -> dict[str, str]:
        """What the ranks were measured of and on; equal for tables that may stand for each other."""
        return {
            "fingerprint": self.fingerprint,
            "dataset": self.dataset,
            "manifest_fingerprint": self.manifest_fingerprint,
            "split": self.split,
            "second_stage": self.second_stage,
        }


def rank_file(run: Path, dataset: str, split: str) -> Path:
    """Where a run keeps its ranks over a split."""
    return run / "ranks" / f"{dataset}-{split}.safetensors"


def save_ranks(run: Path, table: RankTable) -> None:
    """Write the ranks into the run, in place of those it had over this split.

    Raises:
        ResourceError: when the disk is full or closed.
    """
    tensors = {
        "i2t": table.ranks.i2t,
        "t2i": table.ranks.t2i,
        "image_group": table.image_group,
        "text_group": table.text_group,
    }
    if table.ranks.lists is not None:
        tensors |= {name: getattr(table.ranks.lists, name) for name in LISTS}
    header = {"format": FORMAT, "version": VERSION, **table.about}
    save_tensors(rank_file(run, table.dataset, table.split), tensors, header)


def load_ranks(run: Path, wanted: dict[str, str]) -> RankTable | None:
    """The ranks a run has kept; None when there are none, or they are of other weights, of another manifest
    or of another row. A run without a second stage has one row, whichever is wanted.

    Raises:
        ArtifactError: when the file is not what mmx wrote.
    """
    path = rank_file(run, wanted["dataset"], wanted["split"])
    file = open_answers(path, FORMAT, VERSION)
    if file is None:
        return None
    about = {"second_stage": ONE_STAGE, **file.metadata}
    if about["second_stage"] == ONE_STAGE:
        wanted = {**wanted, "second_stage": ONE_STAGE}
    if any(about.get(name) != value for name, value in wanted.items()):
        return None
    held = file.read_all()
    lacking = [name for name in TENSORS if name not in held]
    if lacking:
        raise ArtifactError(f"'{path}' holds no '{lacking[0]}'. Delete it and evaluate again.")
    tensors = {name: held[name] for name in TENSORS}
    wrong = next(
        (name for name, tensor in tensors.items() if tensor.ndim != 1 or tensor.dtype != torch.int64), None
    )
    if (
        wrong
        or len(tensors["i2t"]) != len(tensors["image_group"])
        or len(tensors["t2i"]) != len(tensors["text_group"])
    ):
        raise ArtifactError(f"'{path}' does not hold one rank a query. Delete it and evaluate again.")
    lists = None
    if held.keys() >= set(LISTS):
        lists = RankLists(*(held[name] for name in LISTS))
        if any(value.shape != tensors["t2i"].shape for value in (lists.precision, lists.inverse)):
            raise ArtifactError(f"'{path}' does not hold one list a caption. Delete it and evaluate again.")
    ranks = Ranks(tensors["i2t"], tensors["t2i"], lists)
    return RankTable(ranks, tensors["image_group"], tensors["text_group"], **wanted)
