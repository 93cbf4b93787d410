"""The rows of a two-stage retrieval: the first stage, its nearest ranked again, all pairs scored."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from mmx.core.errors import UsageError
from mmx.core.present import present
from mmx.core.reporter import Reporter
from mmx.engine.evaluator import Embeddings
from mmx.tasks import k_reciprocal
from mmx.tasks.k_reciprocal import KReciprocal
from mmx.tasks.recall import Ranks
from mmx.tasks.rerank import FirstStage, rerank
from mmx.tasks.retrieval import primary_metric, retrieval_metrics
from mmx.workflows.rank_files import ONE_STAGE

VAL = "val"
"""The only split that anything is ever chosen on."""
DEFAULT_TOP = 100
ALL = "all"
GRID = (1.0, 0.75, 1.5, 0.5, 2.0, 0.25, 3.0, 4.0, 6.0, 8.0, 0.0)
"""Shares of the trained weight that are tried on val; on a tie the earlier one wins."""
SOURCE = "source"
COMPLETED = "labels completed (transductive)"


@dataclass(frozen=True)
class RankedRow:
    """One way to rank the queries of a split, with the ranks it gives."""

    top: int | str
    """How many of each query's nearest are ranked again; 0 for the first stage, `all` for all pairs."""
    weight: float
    weight_from: str | None
    """`training`, or `val` where it was chosen there; None for the first stage, which has none; `source` for
    k-reciprocal neighbours and completed labels, which nobody trained.
    """
    ranks: Ranks
    title: str = ""
    """What the row is called where it is not one of the model's own."""

    @property
    def name(self) -> str:
        """The row in words."""
        if self.title:
            return self.title
        name = headline_name(f"top {self.top}")
        return f"{name}, weight chosen on val" if self.weight_from == VAL else name


@dataclass(frozen=True)
class Tuning:
    """The weight that is best on val, by the metric that training selects by."""

    weight: float
    tried: dict[float, float]
    """Weight -> that metric on val."""
    metric: str


def headline_name(second_stage: str) -> str:
    """How a run's headline is called, from how its second stage took part: `none`, `top 0`, `top 100`, `top
    all`.
    """
    if second_stage in (ONE_STAGE, "top 0"):
        return "first stage"
    return "fully scored" if second_stage == f"top {ALL}" else f"re-ranked, {second_stage}"


def headline_of(rows: Sequence[RankedRow]) -> RankedRow:
    """The row that stands for a run: the last one of the model's own with the weight of training."""
    return next(row for row in reversed(rows) if row.weight_from not in (VAL, SOURCE))


def parse_top(text: str | None) -> int | str:
    """`--rerank-top` as a number from 0, or `all`.

    Raises:
        UsageError: for anything else.
    """
    if text is None:
        return DEFAULT_TOP
    if text == ALL or text.isdecimal():
        return text if text == ALL else int(text)
    raise UsageError(
        f"--rerank-top '{text}' is not possible. Write how many are ranked again (100), 0 for none, or all."
    )


def ranked_rows(
    embeddings: Embeddings, first: FirstStage, top: int | str, tuned: Tuning | None, reporter: Reporter
) -> list[RankedRow]:
    """The first stage, then its `top` nearest ranked again; with `all` the nearest as always, then all pairs.

    The row with a tuned weight comes last; it ranks as many as the row before it.
    """
    rows = [RankedRow(0, 0.0, None, first.ranks)]
    if embeddings.second is None or top == 0:
        return rows
    trained = embeddings.second.weight
    if top == ALL:
        (ranks,) = rerank_split(embeddings, first, [trained], DEFAULT_TOP, reporter)
        rows.append(RankedRow(DEFAULT_TOP, trained, "training", ranks))
    weights = [trained, *([] if tuned is None else [tuned.weight])]
    found = rerank_split(embeddings, first, weights, top, reporter)
    origins = ("training", VAL)
    rows += [RankedRow(top, *given) for given in zip(weights, origins[: len(weights)], found, strict=True)]
    return rows


def tune_weight(embeddings: Embeddings, first: FirstStage, top: int | str, reporter: Reporter) -> Tuning:
    """Try shares of the trained weight on a split, which must be val."""
    trained = present(embeddings.second).weight
    weights = [share * trained for share in GRID]
    found = rerank_split(embeddings, first, weights, top, reporter)
    metric = primary_metric(first.ranks)
    tried = {weight: retrieval_metrics(ranks)[metric] for weight, ranks in zip(weights, found, strict=True)}
    return Tuning(max(tried, key=tried.__getitem__), tried, metric)


def k_reciprocal_row(first: FirstStage, top: int) -> RankedRow:
    """The first stage's `top` nearest of each query, ranked again by the neighbours that images share."""
    overlap = KReciprocal.of(first.image, first.text)
    (ranks,) = rerank(first, overlap, [k_reciprocal.WEIGHT], top)
    return RankedRow(top, k_reciprocal.WEIGHT, SOURCE, ranks, f"k-reciprocal, top {top}")


def completed_row(completed: Embeddings, lists: bool) -> RankedRow:
    """The first stage over captions whose labels were completed."""
    groups = completed.image_group, completed.text_group
    ranks = FirstStage.of(completed.image, completed.text, *groups, lists).ranks
    return RankedRow(0, 0.0, SOURCE, ranks, COMPLETED)


def rerank_split(
    embeddings: Embeddings, first: FirstStage, weights: Sequence[float], top: int | str, reporter: Reporter
) -> list[Ranks]:
    """The ranks of a split by both stages, for each weight.

    Raises:
        TrainingError: when a fine score is not finite.
    """
    second = present(embeddings.second)
    everything = len(first.image) * len(first.text) if top == ALL else None
    with second.scoring() as score, reporter.progress("scoring pairs", everything, "pairs") as progress:

        def told(images: torch.Tensor, texts: torch.Tensor) -> torch.Tensor:
            found = score(images, texts)
            progress.advance(found.numel())
            return found

        nearest = None if top == ALL else int(top)
        return rerank(first, told, weights, nearest, second.order, second.pairs)
