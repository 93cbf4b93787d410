"""Recall@k of image-text retrieval: the rank of every query's best right answer, never holding all scores.

Source: the protocol of Karpathy & Fei-Fei 2015 (arXiv 1412.2306); ties against the model are ours.
Shapes: N images, C captions, D width of the shared space, R relevant pairs.

Scores are blocks of a matrix product. Those that lie within its rounding of a query's best right answer are
made again in float64, so that ranks depend neither on the block nor on the order of the items, and so that a
model which gives one vector to everything scores 0. Besides the inputs and the R pairs, less than 64 MiB are
held at a time (D up to 1,024).
"""

from dataclasses import dataclass

import numpy
import torch
from torch import Tensor

from mmx.tasks.stand_before import BLOCK_COLUMNS, BLOCK_ROWS, Counter, pair_scores

CUTOFFS = (1, 5, 10)
DIRECTIONS = ("i2t", "t2i")
NO_ANSWER = -1

DEFINITIONS = {
    "direction": "i2t: an image looks for its captions among all captions of the split; "
    "t2i: a caption looks for its image among all images of the split.",
    "relevance": "A right answer shares the query's image (its identity, where the data has identities); "
    "images may have any number of captions; a query without a right answer is left out and counted.",
    "recall": "recall@k: percent of queries whose best right answer is among the first k.",
    "ties": "Ties count against: a wrong answer that scores as high as the best right one stands before it.",
    "rsum": "rsum: sum of the six recalls at 1, 5 and 10 (at most 600).",
    "median_rank": "median rank: median place of the best right answer, from 1, rounded down.",
}
"""What the numbers mean, printed and saved with them."""


@dataclass(frozen=True)
class RankLists:
    """What the list of images of each caption is worth, all right ones counted; NaN where it has none."""

    precision: Tensor
    """[C] float64 average precision, 0..1."""
    inverse: Tensor
    """[C] float64 inverse negative penalty, 0..1."""


@dataclass(frozen=True)
class Ranks:
    """Place of the best right answer of each query, from 0; -1 for a query without a right answer."""

    i2t: Tensor
    """[N] int64."""
    t2i: Tensor
    """[C] int64."""
    lists: RankLists | None = None
    """For data with identities, where a caption has many right images."""

    def answered(self, direction: str) -> Tensor:
        """Ranks of the queries that have a right answer."""
        found = getattr(self, direction)
        return found[found != NO_ANSWER]

    @property
    def dropped(self) -> dict[str, int]:
        """How many queries have no right answer, in each direction."""
        return {direction: int((getattr(self, direction) == NO_ANSWER).sum()) for direction in DIRECTIONS}


def ranks(
    image_embedding: Tensor,
    text_embedding: Tensor,
    image_group: Tensor,
    text_group: Tensor,
    block: int = BLOCK_ROWS,
) -> Ranks:
    """[N, D], [C, D] float, [N], [C] int64 -> the rank of every query in both directions.

    Raises:
        ValueError: for shapes that do not fit, or for embeddings that are not finite.
    """
    image, longest_image = checked(image_embedding, image_group, "image")
    text, longest_text = checked(text_embedding, text_group, "text")
    if image.shape[1] != text.shape[1]:
        raise ValueError(f"image_embedding is {image.shape[1]} wide but text_embedding is {text.shape[1]}")
    pair_image, pair_text = relevant_pairs(image_group.cpu(), text_group.cpu())
    scores = pair_scores(image, text, pair_image, pair_text)
    best_text = best_scores(scores, pair_image, len(image))
    best_image = best_scores(scores, pair_text, len(text))
    counter = Counter(image, text, best_text, best_image, (longest_image, longest_text))
    rows = min(max(block, 1), BLOCK_ROWS)
    for left in range(0, len(text), BLOCK_COLUMNS):
        counter.count(slice(left, left + BLOCK_COLUMNS), rows, pair_image, pair_text)
    i2t, t2i = torch.from_numpy(counter.i2t), torch.from_numpy(counter.t2i)
    return Ranks(or_no_answer(i2t, best_text), or_no_answer(t2i, best_image))


def relevant_pairs(image_group: Tensor, text_group: Tensor) -> tuple[Tensor, Tensor]:
    """[N], [C] -> the image [R] and the caption [R] of every relevant pair, images rising."""
    groups, sought = text_group.numpy(), image_group.numpy()
    order = groups.argsort(kind="stable")
    first = numpy.searchsorted(groups[order], sought, side="left")
    number = numpy.searchsorted(groups[order], sought, side="right") - first
    pair_image = numpy.repeat(numpy.arange(len(sought)), number)
    before = number.cumsum() - number
    place = numpy.arange(len(pair_image)) + (first - before)[pair_image]
    return torch.from_numpy(pair_image), torch.from_numpy(order[place])


def recall_metrics(ranks: Ranks) -> dict[str, float]:
    """Recall@1, 5 and 10 in percent, their sum and the median ranks.

    Raises:
        ValueError: when a direction has no query with a right answer.
    """
    found = {direction: ranks.answered(direction) for direction in DIRECTIONS}
    for direction, places in found.items():
        if not len(places):
            raise ValueError(f"no {direction} query has a right answer")
    metrics = {
        f"{direction}_recall@{k}": 100.0 * int((places < k).sum()) / len(places)
        for direction, places in found.items()
        for k in CUTOFFS
    }
    metrics["rsum"] = sum(metrics.values())
    for direction, places in found.items():
        metrics[f"{direction}_median_rank"] = float(places.double().quantile(0.5).floor() + 1)
    return metrics


def best_scores(scores: Tensor, query: Tensor, number: int) -> Tensor:
    """[R], [R] -> the best score of each query's pairs; NaN where it has none, which no score reaches."""
    best = numpy.full(number, numpy.nan)
    numpy.fmax.at(best, query.numpy(), scores.numpy())
    return torch.from_numpy(best)


def or_no_answer(number: Tensor, best: Tensor) -> Tensor:
    """[Q] int64, [Q] -> the number of wrong answers before each query's best right one [Q]; -1 where that is
    NaN, since there is none.
    """
    return number.masked_fill(best.isnan(), NO_ANSWER)


def checked(embedding: Tensor, group: Tensor, modality: str) -> tuple[Tensor, float]:
    """[X, D], [X] -> float32 [X, D] on the CPU, which has the float64 that doubtful pairs need; and the
    length of the longest row.
    """
    if embedding.ndim != 2 or group.shape != embedding.shape[:1]:
        raise ValueError(
            f"{modality}_embedding must be [items, width] with one group an item, "
            f"not {list(embedding.shape)} with groups {list(group.shape)}"
        )
    embedding = embedding.detach().float().cpu().contiguous()
    # One pass instead of a question to every number: a row is as finite as its squared length.
    squares = numpy.einsum("id,id->i", embedding.numpy(), embedding.numpy())
    wrong = numpy.flatnonzero(~numpy.isfinite(squares))
    if len(wrong):
        raise ValueError(
            f"{len(wrong)} rows of {modality}_embedding are not finite, the first is row {wrong[0]}"
        )
    return embedding, float(squares.max(initial=0.0)) ** 0.5
