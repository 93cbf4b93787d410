"""What queries add up to: an image with all its captions is one item of `resampling`.

Where images share an identity, all that is of one identity is one item.

Shapes: N images, C captions, G items, V values a query has, M metrics: the values' means, and of recalls
their sum.
"""

import numpy
from numpy import ndarray
from torch import Tensor

from mmx.tasks import person_search
from mmx.tasks.recall import CUTOFFS, DIRECTIONS, NO_ANSWER, Ranks
from mmx.tasks.resampling import LEVEL, PERMUTATIONS, RESAMPLES, Sums

METRICS = (*(f"{direction}_recall@{k}" for direction in DIRECTIONS for k in CUTOFFS), "rsum")

DEFINITIONS = {
    "interval": f"Intervals: {LEVEL:.0%} percentile bootstrap, {RESAMPLES:,} resamples of whole images "
    "(an image is drawn with all its captions; images of one identity together).",
    "paired": "Intervals of differences are paired: over the same queries of both; "
    f"p: two-sided, {PERMUTATIONS:,} sign flips of whole images.",
}
"""What the intervals and tests mean, printed and saved with them."""


class RankSums:
    """What each group of images adds: its queries' values [G, V], and its queries with an answer [G, V].

    Raises:
        ValueError: when the groups are not those of the ranks, or nothing has a right answer.
    """

    def __init__(self, ranks: Ranks, image_group: Tensor, text_group: Tensor) -> None:
        groups = self._groups = {"i2t": image_group.numpy(), "t2i": text_group.numpy()}
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
        self._hits, self._queries = numpy.stack(hits, 1), numpy.stack(queries, 1)
        self.width = 2 * len(hits)

    def add(self, weights: ndarray) -> ndarray:
        """[draws, G] how often each group counts -> [draws, 2 V]."""
        return numpy.concatenate([weights @ self._hits, weights @ self._queries], axis=1)

    def scores(self, sums: ndarray, whole: bool = False) -> ndarray:
        """[draws, 2 V] -> [draws, M] in percent; NaN where no query is drawn."""
        hits, queries = numpy.split(sums, 2, axis=1)
        with numpy.errstate(invalid="ignore"):
            means = 100.0 * hits / queries
        if self.names is not METRICS:
            return means
        return numpy.concatenate([means, means.sum(1, keepdims=True)], axis=1)

    def same_items(self, other: Sums) -> bool:
        """Whether another run answers the same queries, each of the same group."""
        return (
            isinstance(other, RankSums)
            and numpy.array_equal(self._queries, other._queries)
            and all(numpy.array_equal(self._groups[way], other._groups[way]) for way in DIRECTIONS)
        )

    def _sum(self, cluster: ndarray, marks: ndarray) -> ndarray:
        return numpy.bincount(cluster, weights=marks, minlength=self.number)
