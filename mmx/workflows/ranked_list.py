"""One query's scores with its answers, by a row of an evaluation."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mmx.engine.second_stage import ScorePairs
from mmx.workflows.stage_rows import ALL, RankedRow


@dataclass(frozen=True)
class RankedList:
    """What a query is scored against, and how. Shapes: G answers."""

    asked: int
    direction: str
    row: RankedRow
    cosine: Tensor
    """[G] float64."""
    relevant: Tensor
    """[G] bool."""
    score: ScorePairs | None
    """None for a row of one stage."""

    @property
    def near(self) -> Tensor:
        """[A] int64: what is ranked again, or in one stage everything; of equal ones the wrong first, then
        the lower row.
        """
        if self.row.top in (0, ALL):
            return torch.arange(len(self.cosine))
        return self._by_cosine()[: self.row.top]

    def scores(self, answers: Tensor) -> Tensor:
        """Rows of answers [A] -> their scores [A] float64."""
        if self.score is None:
            return self.cosine[answers]
        asked = torch.tensor([self.asked])
        pairs: Sequence[tuple[Tensor, Tensor]] = [
            (asked, some) if self.direction == "i2t" else (some, asked) for some in answers.split(256)
        ]
        fine = torch.cat([self.score(images, texts).flatten() for images, texts in pairs])
        return self.cosine[answers] + self.row.weight * fine

    def first(self, number: int) -> tuple[Tensor, Tensor]:
        """The answers put first [A], and their scores; ties count against."""
        if self.score is None:
            order = self._by_cosine()[:number]
            return order, self.cosine[order]
        near = self.near
        scores = self.scores(near)
        near, scores = (part[self.relevant[near].int().argsort(stable=True)] for part in (near, scores))
        order = scores.argsort(descending=True, stable=True)[:number]
        return near[order], scores[order]

    def _by_cosine(self) -> Tensor:
        right_last = self.relevant.int().argsort(stable=True)
        return right_last[self.cosine[right_last].argsort(descending=True, stable=True)]
