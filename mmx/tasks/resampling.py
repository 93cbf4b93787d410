"""How sure a number is that adds up over items, and whether two differ: bootstrap and permutations.

An item is what is drawn at once: an image with all its captions, all that is of one identity, a post or a
photo. Several runs that differ by their seed alone stand together: their number is the mean over them.

Source: percentile bootstrap over clusters (Efron & Tibshirani 1993); permutations of clusters (Fisher 1935).
Shapes: G items, V sums that an item adds to, M metrics that are made of the sums.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy
from numpy import ndarray

RESAMPLES = 2_000
PERMUTATIONS = 9_999
LEVEL = 0.95
NUMBERS_AT_ONCE = 2_000_000
"""Random numbers, or sums, held at a time."""
EQUAL = 1e-9
"""Percent points within which a permuted difference counts as large as the one seen."""


@dataclass(frozen=True)
class Difference:
    """How much better the first of two is, in percent points."""

    difference: float
    low: float
    high: float
    p: float


class Sums(Protocol):
    """What a run's answers add up to, over any choice of items."""

    @property
    def names(self) -> tuple[str, ...]:
        """[M]: of the metrics."""

    @property
    def number(self) -> int:
        """G."""

    @property
    def width(self) -> int:
        """V."""

    def add(self, weights: ndarray) -> ndarray:
        """[draws, G] how often each item counts -> [draws, V]."""

    def scores(self, sums: ndarray, whole: bool = False) -> ndarray:
        """[draws, V] -> [draws, M] in percent; NaN where there is nothing to divide by.

        `whole` says that every item is in each of the sums, so that none lacks by chance.
        """

    def same_items(self, other: "Sums") -> bool:
        """Whether another run's are over the same items with the same right answers."""


def intervals(
    runs: Sequence[Sums], resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """The 95% interval of each metric, of its mean over the runs.

    Raises:
        ValueError: when the runs are not over the same items.
    """
    check_same_items(runs)
    drawn = [_mean_scores(runs, counts) for counts in resampled(runs[0], resamples, seed)]
    low, high = _percentiles(numpy.concatenate(drawn))
    return {name: (float(low[place]), float(high[place])) for place, name in enumerate(runs[0].names)}


def paired_test(
    ours: Sequence[Sums],
    theirs: Sequence[Sums],
    resamples: int = RESAMPLES,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> dict[str, Difference]:
    """The difference of each metric between two sets of runs: ours less theirs.

    A permutation swaps the answers of the one and the other to some of the items.

    Raises:
        ValueError: when the runs are not over the same items.
    """
    check_same_items([*ours, *theirs])
    one = ours[0]
    seen = _mean_scores(ours, _everything(one))[0] - _mean_scores(theirs, _everything(one))[0]
    drawn = [
        _mean_scores(ours, counts) - _mean_scores(theirs, counts)
        for counts in resampled(one, resamples, seed)
    ]
    low, high = _percentiles(numpy.concatenate(drawn))
    p = _permuted(ours, theirs, permutations, seed)
    return {
        name: Difference(float(seen[place]), float(low[place]), float(high[place]), float(p[place]))
        for place, name in enumerate(one.names)
    }


def check_same_items(runs: Sequence[Sums]) -> None:
    """Make sure that runs can be compared item by item.

    Raises:
        ValueError: when they cannot.
    """
    first = runs[0]
    if any(run.names != first.names or not first.same_items(run) for run in runs[1:]):
        raise ValueError("the runs answer different items")


def resampled(run: Sums, resamples: int, seed: int) -> Iterator[ndarray]:
    """How often each of the items is drawn: blocks of [draws, G]."""
    random, number = numpy.random.default_rng(seed), run.number
    for draws in _blocks(resamples, run):
        drawn = random.integers(0, number, (draws, number)) + numpy.arange(draws)[:, None] * number
        counts = numpy.bincount(drawn.ravel(), minlength=draws * number)
        yield counts.reshape(draws, number).astype(numpy.float64)


def _permuted(ours: Sequence[Sums], theirs: Sequence[Sums], permutations: int, seed: int) -> ndarray:
    """[M]: the share of permutations whose difference is as large as the one that was seen; the difference is
    the mean over all pairs of one of ours and one of theirs, whose answers are swapped.
    """
    seen = numpy.abs(_mean_change(ours, theirs, _everything(ours[0])))[0]
    larger = numpy.zeros(len(ours[0].names))
    for kept in _halves(ours[0], permutations, seed):
        larger += (numpy.abs(_mean_change(ours, theirs, kept)) >= seen - EQUAL).sum(0)
    return (1 + larger) / (1 + permutations)


def _mean_change(ours: Sequence[Sums], theirs: Sequence[Sums], kept: ndarray) -> ndarray:
    """[draws, G] of 0 and 1, which items keep their answers -> [draws, M]."""
    (our_kept, our_rest), (their_kept, their_rest) = (
        [[run.add(weights) for run in runs] for weights in (kept, 1.0 - kept)] for runs in (ours, theirs)
    )
    change = numpy.zeros(1)
    for mine, (stays, goes) in zip(ours, zip(our_kept, our_rest, strict=True), strict=True):
        for comes, leaves in zip(their_rest, their_kept, strict=True):
            # both are added up, not subtracted, so that what is nowhere stays exactly 0
            change = change + mine.scores(stays + comes, whole=True) - mine.scores(goes + leaves, whole=True)
    return change / (len(ours) * len(theirs))


def _halves(run: Sums, permutations: int, seed: int) -> Iterator[ndarray]:
    """Blocks of [draws, G] of 0 and 1, each with even chance."""
    random, number = numpy.random.default_rng([seed, 1]), run.number
    for draws in _blocks(permutations, run):
        drawn = random.integers(0, 256, -(-draws * number // 8), dtype=numpy.uint8)
        yield numpy.unpackbits(drawn, count=draws * number).reshape(draws, number).astype(numpy.float64)


def _everything(run: Sums) -> ndarray:
    return numpy.ones((1, run.number))


def _mean_scores(runs: Sequence[Sums], weights: ndarray) -> ndarray:
    return sum((run.scores(run.add(weights)) for run in runs), numpy.zeros(1)) / len(runs)


def _blocks(draws: int, run: Sums) -> Iterator[int]:
    block = max(NUMBERS_AT_ONCE // max(run.number, run.width), 1)
    for start in range(0, draws, block):
        yield min(block, draws - start)


def _percentiles(values: ndarray) -> tuple[ndarray, ndarray]:
    tail = 100.0 * (1.0 - LEVEL) / 2.0
    low, high = numpy.nanpercentile(values, [tail, 100.0 - tail], axis=0)
    return low, high
