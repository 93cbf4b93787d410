"""Where every right answer of a query stands in its list, and what that makes of the list.

Source: average precision as in Zheng et al., ICCV 2015; the inverse negative penalty is that of
arXiv 2001.04193, section 4.2. Ties against the model are ours.
Shapes: Q queries, G answers, R right pairs of query and answer.
"""

from dataclasses import dataclass

import numpy
import torch
from torch import Tensor

from mmx.tasks.recall import RankLists, relevant_pairs
from mmx.tasks.stand_before import BLOCK_ROWS

NUMBERS = 2**23
"""Scores that are held at a time."""


@dataclass(frozen=True)
class Places:
    """The right pairs, by query and then by answer, with how many wrong answers stand before each."""

    query: Tensor
    """[R] int64."""
    answer: Tensor
    """[R] int64."""
    before: Tensor
    """[R] int64."""

    def lists(self, queries: int) -> RankLists:
        """What the places make of the lists of so many queries; NaN where a query has no right answer.

        place i = i + wrong answers before the i-th right one        i = 1..R of the query
        precision = mean_i (i / place i)        inverse = R / place R
        """
        order = numpy.lexsort((self.before.numpy(), self.query.numpy()))
        query, before = self.query.numpy()[order], self.before.numpy()[order]
        number = numpy.bincount(query, minlength=queries)
        first = number.cumsum() - number
        found = numpy.arange(len(query)) - first[query] + 1
        place = found + before
        with numpy.errstate(invalid="ignore"):
            precision = numpy.bincount(query, weights=found / place, minlength=queries) / number
        inverse = numpy.full(queries, numpy.nan)
        last = (first + number - 1)[number > 0]
        inverse[number > 0] = number[number > 0] / place[last]
        return RankLists(torch.from_numpy(precision), torch.from_numpy(inverse))

    def moved(self, query: Tensor, answer: Tensor, before: Tensor) -> "Places":
        """The same, but for pairs that stand elsewhere now; [P] each, all of them right pairs."""
        width = int(self.answer.max()) + 1 if len(self.answer) else 1
        row = torch.searchsorted(self.query * width + self.answer, query * width + answer)
        return Places(self.query, self.answer, self.before.index_copy(0, row, before))


def first_places(
    query: Tensor, answer: Tensor, query_group: Tensor, answer_group: Tensor, same: float
) -> Places:
    """[Q, D], [G, D] float, [Q], [G] int64 -> the places by inner products, which are never all held.

    `same` is the difference below which two scores are a tie.
    """
    pairs = relevant_pairs(query_group, answer_group)
    rows = max(min(BLOCK_ROWS, NUMBERS // max(len(answer), 1)), 1)
    exact = answer.double()
    before = [
        wrong_before(query[some].double() @ exact.T, query_group[some, None] == answer_group, same)
        for some in torch.arange(len(query)).split(rows)
    ]
    return Places(*pairs, torch.cat(before) if before else pairs[0])


def wrong_before(scores: Tensor, right: Tensor, same: float) -> Tensor:
    """[Q, G] float64, [Q, G] bool -> [R] int64: wrong answers at or above each right one, query by query."""
    row, column = right.nonzero().unbind(1)
    number = right.sum(1)
    slot = torch.arange(len(row)) - (number.cumsum(0) - number)[row]
    limit = torch.full((len(scores), int(number.max()) if len(number) else 0), torch.inf, dtype=torch.float64)
    limit[row, slot] = scores[row, column] - same
    wrong = torch.from_numpy(numpy.sort(scores.masked_fill(right, -torch.inf).numpy(), axis=1))
    return (scores.shape[1] - torch.searchsorted(wrong, limit))[row, slot]
