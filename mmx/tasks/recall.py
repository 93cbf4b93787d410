"""Recall@k of image-text retrieval: the rank of every query's best right answer, never holding all scores.

Source: the protocol of Karpathy & Fei-Fei 2015 (arXiv 1412.2306); ties against the model are ours.
Shapes: N images, C captions, D width of the shared space, R relevant pairs.

Scores are float32 in blocks of a matrix product. The few that lie within float32 rounding of a query's best
right answer are made again in float64, so that ranks depend neither on the block nor on the order of the
items, and so that a model which gives one vector to everything scores 0. Besides the inputs and the R pairs,
less than 64 MiB are held at a time (D up to 2,048).
"""

from dataclasses import dataclass

import numpy
import torch
from numpy import ndarray
from torch import Tensor

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

BLOCK_ROWS = 240
"""At most 255, since a column of a block is counted in uint8."""
BLOCK_COLUMNS = 16_384
PAIRS_AT_ONCE = 256
EXACT_COLUMNS = 2_048
ROUNDING = 2.0**-23
SAME = 1e-12
"""Two float64 scores that differ by less than this share of the largest norms are a tie."""


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
    counter = _Counter(image, text, best_text, best_image, longest_image * longest_text)
    rows = min(max(block, 1), BLOCK_ROWS)
    for top in range(0, len(image), rows):
        for left in range(0, len(text), BLOCK_COLUMNS):
            counter.count(top, left, rows, pair_image, pair_text)
    return Ranks(or_no_answer(counter.i2t, best_text), or_no_answer(counter.t2i, best_image))


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


class _Counter:
    """Adds up, block by block, how many wrong answers stand before the best right answer of each query.

    Only the product is left to torch: a comparison is too short to be worth waking a second thread for.
    """

    def __init__(
        self, image: Tensor, text: Tensor, best_text: Tensor, best_image: Tensor, scale: float
    ) -> None:
        """Take the best right score of each query; `scale` is the largest score there could be."""
        self.image, self.text = image, text
        self.best_text, self.best_image = best_text.numpy(), best_image.numpy()
        self.i2t = torch.zeros(len(image), dtype=torch.int64)
        self.t2i = torch.zeros(len(text), dtype=torch.int64)
        self.same = scale * SAME
        self.doubt = scale * ROUNDING * image.shape[1] ** 0.5
        self.buffer = torch.empty(min(BLOCK_ROWS, len(image)) * min(BLOCK_COLUMNS, len(text)))

    def count(self, top: int, left: int, rows: int, pair_image: Tensor, pair_text: Tensor) -> None:
        """Count in the block of `rows` images from `top` on and of captions from `left` on."""
        image, text = self.image[top : top + rows], self.text[left : left + BLOCK_COLUMNS]
        scores = self.buffer[: len(image) * len(text)].view(len(image), len(text))
        torch.mm(image, text.T, out=scores)
        first, last = numpy.searchsorted(pair_image.numpy(), (top, top + len(image)))
        row, column = pair_image[first:last].numpy() - top, pair_text[first:last].numpy() - left
        inside = (column >= 0) & (column < len(text))
        scores.numpy()[row[inside], column[inside]] = -numpy.inf
        down, along = slice(top, top + rows), slice(left, left + BLOCK_COLUMNS)
        self.i2t[down] += self._before(scores.numpy(), self.best_text[down, None], image, text, 1)
        self.t2i[along] += self._before(scores.numpy(), self.best_image[None, along], image, text, 0)

    def _before(self, scores: ndarray, best: ndarray, image: Tensor, text: Tensor, axis: int) -> Tensor:
        """Wrong answers at or above `best`, counted along `axis`; doubtful ones are scored again."""
        surely = scores > (best + self.doubt).astype(numpy.float32)
        possibly = scores >= (best - self.doubt).astype(numpy.float32)
        number = _count(surely, axis)
        if not numpy.array_equal(number, _count(possibly, axis)):
            number += self._settle(numpy.greater(possibly, surely, out=possibly), best, image, text, axis)
        return torch.from_numpy(number)

    def _settle(self, doubtful: ndarray, best: ndarray, image: Tensor, text: Tensor, axis: int) -> ndarray:
        """The doubtful pairs of a block that do stand at or above `best`, counted along `axis`."""
        number = numpy.zeros(doubtful.shape[1 - axis], dtype=numpy.int64)
        rows = numpy.flatnonzero(doubtful.any(1))
        exact_image = image[torch.from_numpy(rows)].double()
        columns = numpy.flatnonzero(doubtful.any(0))
        for start in range(0, len(columns), EXACT_COLUMNS):
            some = columns[start : start + EXACT_COLUMNS]
            exact = (exact_image @ text[torch.from_numpy(some)].double().T).numpy()
            limit = (best[rows] if axis == 1 else best[:, some]) - self.same
            number[rows if axis == 1 else some] += _count(
                (exact >= limit) & doubtful[numpy.ix_(rows, some)], axis
            )
        return number


def _count(marks: ndarray, axis: int) -> ndarray:
    """int64 number of True along an axis; a column is short enough for uint8, which is far faster."""
    if axis == 0:
        return marks.view(numpy.uint8).sum(0, dtype=numpy.uint8).astype(numpy.int64)
    return numpy.array([numpy.count_nonzero(row) for row in marks], dtype=numpy.int64)


def pair_scores(image: Tensor, text: Tensor, pair_image: Tensor, pair_text: Tensor) -> Tensor:
    """[R] float64 scores of the pairs listed."""
    images, texts, rows, columns = (tensor.numpy() for tensor in (image, text, pair_image, pair_text))
    scores = numpy.empty(len(rows), dtype=numpy.float64)
    for start in range(0, len(rows), PAIRS_AT_ONCE):
        some = slice(start, start + PAIRS_AT_ONCE)
        scores[some] = (images[rows[some]].astype(numpy.float64) * texts[columns[some]]).sum(1)
    return torch.from_numpy(scores)


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
