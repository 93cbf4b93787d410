"""Gradients of one batch that is cut in pieces: those of the whole batch, whatever the loss compares.

0. where a part of the model takes in statistics of a batch: those of all pieces, once
1. what is compared (`represent`) of each piece, without what a gradient needs
2. the loss over the rows of all pieces of all processes, and its gradient with regard to each row
3. each piece once more under the same random numbers, and that gradient back through it

Only the last piece keeps its first pass, and goes back first: at no time do two pieces hold what a gradient
needs. A parameter that the comparison itself reads has its gradient from step 2, counted on the first process
alone.

Source: arXiv 2101.06983 (GradCache), section 3.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from mmx.core.batch import Batch
from mmx.core.method import Method
from mmx.engine.measuring import measured
from mmx.engine.pieces import Piece
from mmx.engine.processes import Processes
from mmx.engine.rows import Rows, gather_rows, join_rows, narrow


@dataclass(frozen=True)
class CutGradients:
    """Works out gradients on one of several processes."""

    method: Method
    model: nn.Module
    processes: Processes
    device: torch.device
    autocast: Callable[[], AbstractContextManager]
    """The precision to compute in."""

    def compute(
        self, pieces: Sequence[Piece], progress: float, seed: Callable[[int], None]
    ) -> dict[str, Tensor]:
        """Leave the gradient of the loss of the whole batch in the parameters, its share of this process.

        `seed` begins the random numbers of a piece, by its number; the comparison has those of the first.

        Returns:
            Losses by name, the same on all processes.
        """
        with measured(self.model, partial(self._read_all, pieces, seed), self.processes, self.device):
            return self._compute(pieces, progress, seed)

    def _compute(
        self, pieces: Sequence[Piece], progress: float, seed: Callable[[int], None]
    ) -> dict[str, Tensor]:
        seen = []
        for piece in pieces:
            with torch.set_grad_enabled(piece is pieces[-1]):
                seen.append(self._represent(piece, seed))
        own = join_rows([{name: rows.detach() for name, rows in each.items()} for each in seen])
        whole, begins = gather_rows(own, self.processes, self.device)
        for rows in whole.values():
            rows.requires_grad_(rows.is_floating_point())
        losses = self._compare(whole, progress, seed)
        ends = {name: begin + len(own[name]) for name, begin in begins.items()} if pieces else {}
        # from the last one on, so that no more than one piece holds what its gradient needs
        for piece, rows in zip(reversed(pieces), reversed(seen), strict=True):
            again = rows if piece is pieces[-1] else self._represent(piece, seed)
            begins = {name: ends[name] - len(part) for name, part in rows.items()}
            _send_back(again, whole, begins)
            ends = begins
        return {name: value.detach() for name, value in losses.items()}

    def _read_all(self, pieces: Sequence[Piece], seed: Callable[[int], None]) -> Iterator[None]:
        for piece in pieces:
            self._represent(piece, seed)
            yield

    def _represent(self, piece: Piece, seed: Callable[[int], None]) -> Rows:
        batch: Batch = piece.batch.to(self.device)
        seed(piece.number)
        with self.autocast():
            return dict(self.method.represent(self.model, batch))

    def _compare(self, rows: Rows, progress: float, seed: Callable[[int], None]) -> dict[str, Tensor]:
        seed(0)
        with self.autocast():
            losses = dict(self.method.compare(self.model, rows, progress))
        leaves = [part for part in rows.values() if part.requires_grad]
        if self.processes.first:
            losses["total"].backward()
        elif leaves:
            # every process sees the same loss: gradients of parameters that it reads would be summed as often
            losses["total"].backward(inputs=leaves)
        return losses


def _send_back(own: Rows, whole: Rows, begins: dict[str, int]) -> None:
    """The gradient of a piece's rows, back through what made them."""
    outputs, gradients = [], []
    for name, rows in own.items():
        gradient = whole[name].grad
        if rows.requires_grad and gradient is not None:
            there = gradient[begins[name] : begins[name] + len(rows)]
            outputs.append(rows)
            gradients.append(there[(slice(None), *narrow(rows.shape[1:]))])
    if outputs:
        torch.autograd.backward(outputs, gradients)
