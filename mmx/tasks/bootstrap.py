"""How sure a number is: intervals and paired tests that treat an image with all its captions as one draw.

Where images share an identity, all that is of one identity is one draw.

Source: percentile bootstrap over clusters (Efron & Tibshirani 1993); sign flips of clusters (Fisher 1935).
Shapes: N images, C captions, G groups (clusters), V values a query has, M metrics: the values' means, and of
recalls their sum.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy
from numpy import ndarray
from torch import Tensor

from mmx.tasks import person_search
from mmx.tasks.recall import CUTOFFS, DIRECTIONS, NO_ANSWER, Ranks

RESAMPLES = 2_000
PERMUTATIONS = 9_999
LEVEL = 0.95
DRAWS_AT_ONCE = 2_000_000
"""Random numbers held at a time."""
EQUAL = 1e-9
"""Percent points within which a permuted difference counts as large as the one seen."""

METRICS = (*(f"{direction}_recall@{k}" for direction in DIRECTIONS for k in CUTOFFS), "rsum")

DEFINITIONS = {
    "interval": f"Intervals: {LEVEL:.0%} percentile bootstrap, {RESAMPLES:,} resamples of whole images "
    "(an image is drawn with all its captions; images of one identity together).",
    "paired": "Difference: the first run less the second on the same queries, with its paired interval; "
    f"p: two-sided, {PERMUTATIONS:,} sign flips of whole images.",
}
"""What the intervals and tests mean, printed and saved with them."""


@dataclass(frozen=True)
class Difference:
    """How much better the first of two runs is, in percent points."""

    difference: float
    low: float
    high: float
    p: float


def intervals(
    ranks: Ranks, image_group: Tensor, text_group: Tensor, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """Ranks, [N], [C] -> the 95% interval of each metric, in percent; recalls, or those of person search.

    Raises:
        ValueError: when the groups are not those of the ranks, or nothing has a right answer.
    """
    clusters = _Clusters(ranks, image_group, text_group)
    values = [
        clusters.metrics(counts, clusters.hits) for counts in _resamples(clusters.number, resamples, seed)
    ]
    low, high = _percentiles(numpy.concatenate(values))
    return {name: (float(low[place]), float(high[place])) for place, name in enumerate(clusters.names)}


def paired_test(
    ranks: Ranks,
    other: Ranks,
    image_group: Tensor,
    text_group: Tensor,
    resamples: int = RESAMPLES,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> dict[str, Difference]:
    """Ranks of two runs over the same queries, [N], [C] -> the difference of each metric.

    Raises:
        ValueError: when the two are not over the same queries.
    """
    ours, theirs = _Clusters(ranks, image_group, text_group), _Clusters(other, image_group, text_group)
    if ours.names != theirs.names or not numpy.array_equal(ours.queries, theirs.queries):
        raise ValueError("the two runs answer different queries")
    change = ours.hits - theirs.hits
    seen = ours.metrics(numpy.ones((1, ours.number)), change)[0]
    drawn = [ours.metrics(counts, change) for counts in _resamples(ours.number, resamples, seed)]
    low, high = _percentiles(numpy.concatenate(drawn))
    larger = numpy.zeros(len(ours.names))
    for signs in _signs(ours.number, permutations, seed):
        larger += (numpy.abs(ours.flipped(signs, change)) >= numpy.abs(seen) - EQUAL).sum(0)
    p = (1 + larger) / (1 + permutations)
    return {
        name: Difference(float(seen[place]), float(low[place]), float(high[place]), float(p[place]))
        for place, name in enumerate(ours.names)
    }


class _Clusters:
    """What each group of images adds: sums of values `hits` [G, V], and `queries` [G, V] with an answer."""

    def __init__(self, ranks: Ranks, image_group: Tensor, text_group: Tensor) -> None:
        groups = {"i2t": image_group.numpy(), "t2i": text_group.numpy()}
        known = numpy.unique(numpy.concatenate(list(groups.values())))
        self.number = len(known)
        self.names = METRICS if ranks.lists is None else person_search.METRICS
        hits, queries = [], []
        for direction in DIRECTIONS if ranks.lists is None else ("t2i",):
            places, group = getattr(ranks, direction).numpy(), groups[direction]
            if places.shape != group.shape:
                raise ValueError(f"{len(places)} ranks of {direction} have {len(group)} groups")
            cluster, answered = numpy.searchsorted(known, group), places != NO_ANSWER
            if not answered.any():
                raise ValueError(f"no {direction} query has a right answer")
            values = [places < k for k in CUTOFFS]
            if ranks.lists is not None:
                values += [ranks.lists.precision.numpy(), ranks.lists.inverse.numpy()]
            hits += [self._sum(cluster, numpy.where(answered, value, 0.0)) for value in values]
            queries += [self._sum(cluster, answered)] * len(values)
        self.hits, self.queries = numpy.stack(hits, 1), numpy.stack(queries, 1)

    def metrics(self, counts: ndarray, hits: ndarray) -> ndarray:
        """[draws, G] times each cluster is drawn, [G, V] -> [draws, M] in percent; NaN where none is."""
        return self._percent(counts @ hits, counts @ self.queries)

    def flipped(self, signs: ndarray, change: ndarray) -> ndarray:
        """[draws, G] of +1 and -1, [G, V] -> [draws, M]: the change had the clusters been swapped so."""
        return self._percent(signs @ change, self.queries.sum(0, keepdims=True))

    def _percent(self, hits: ndarray, queries: ndarray) -> ndarray:
        with numpy.errstate(invalid="ignore"):
            means = 100.0 * hits / queries
        if self.names is not METRICS:
            return means
        return numpy.concatenate([means, means.sum(1, keepdims=True)], axis=1)

    def _sum(self, cluster: ndarray, marks: ndarray) -> ndarray:
        return numpy.bincount(cluster, weights=marks, minlength=self.number)


def _resamples(number: int, resamples: int, seed: int) -> Iterator[ndarray]:
    """How often each of the clusters is drawn: blocks of [draws, G]."""
    random = numpy.random.default_rng(seed)
    for draws in _blocks(resamples, number):
        drawn = random.integers(0, number, (draws, number)) + numpy.arange(draws)[:, None] * number
        counts = numpy.bincount(drawn.ravel(), minlength=draws * number)
        yield counts.reshape(draws, number).astype(numpy.float64)


def _signs(number: int, permutations: int, seed: int) -> Iterator[ndarray]:
    """Blocks of [draws, G] of +1 and -1, each with even chance."""
    random = numpy.random.default_rng([seed, 1])
    for draws in _blocks(permutations, number):
        bits = numpy.unpackbits(
            random.integers(0, 256, -(-draws * number // 8), dtype=numpy.uint8), count=draws * number
        )
        yield bits.reshape(draws, number) * 2.0 - 1.0


def _blocks(draws: int, number: int) -> Iterator[int]:
    block = max(DRAWS_AT_ONCE // number, 1)
    for start in range(0, draws, block):
        yield min(block, draws - start)


def _percentiles(values: ndarray) -> tuple[ndarray, ndarray]:
    tail = 100.0 * (1.0 - LEVEL) / 2.0
    low, high = numpy.nanpercentile(values, [tail, 100.0 - tail], axis=0)
    return low, high
