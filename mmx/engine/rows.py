"""Rows: what a method compares, from all pieces of a batch one after another, here and on other processes."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mmx.engine.processes import Processes

Rows = dict[str, Tensor]


def join_rows(pieces: Sequence[Mapping[str, Tensor]]) -> Rows:
    """Rows of several pieces as one; further widths become the largest there is."""
    joined = {}
    for name in pieces[0] if pieces else ():
        shape = _widest([piece[name].shape[1:] for piece in pieces])
        joined[name] = torch.cat([widen(piece[name], shape) for piece in pieces])
    return joined


def gather_rows(own: Rows, processes: Processes, device: torch.device) -> tuple[Rows, dict[str, int]]:
    """The rows of all processes, and by name where those of this one begin; a process may have none.

    Raises:
        SaidElsewhere: when another process failed meanwhile.
        TrainingError: when one is gone.
    """
    if processes.count == 1:
        return own, dict.fromkeys(own, 0)
    said = processes.exchange({name: (list(rows.shape), _name(rows.dtype)) for name, rows in own.items()})
    names = next((list(each) for each in said if each), [])
    layouts = {name: _Layout.of([each.get(name) for each in said]) for name in names}
    none = [torch.empty(0, dtype=torch.uint8, device=device)]
    sent = torch.cat([_as_bytes(widen(rows, layouts[name].widths)) for name, rows in own.items()] or none)
    sizes = [sum(layout.nbytes(rank) for layout in layouts.values()) for rank in range(processes.count)]
    parts: dict[str, list[Tensor]] = {name: [] for name in names}
    for rank, received in enumerate(processes.gather(sent, sizes)):
        pieces = received.split([layout.nbytes(rank) for layout in layouts.values()])
        for (name, layout), piece in zip(layouts.items(), pieces, strict=True):
            parts[name].append(layout.rows(rank, piece))
    begins = {name: sum(layout.counts[: processes.rank]) for name, layout in layouts.items()}
    return {name: torch.cat(rows) for name, rows in parts.items()}, begins


@dataclass(frozen=True)
class _Layout:
    """How the rows of one name lie on the processes, one of which at least has some."""

    kind: torch.dtype
    widths: tuple[int, ...]
    """Further widths, the largest there are."""
    counts: Sequence[int]
    """Rows on each process."""

    @classmethod
    def of(cls, told: Sequence[tuple[Sequence[int], str] | None]) -> "_Layout":
        """From the shape and the type that each process tells of its rows; None where it has none."""
        shapes = [each[0] for each in told if each is not None]
        kind = next(getattr(torch, each[1]) for each in told if each is not None)
        counts = [0 if each is None else each[0][0] for each in told]
        return cls(kind, _widest([shape[1:] for shape in shapes]), counts)

    def nbytes(self, rank: int) -> int:
        """Bytes on a process."""
        return self.counts[rank] * math.prod(self.widths) * self.kind.itemsize

    def rows(self, rank: int, received: Tensor) -> Tensor:
        """Bytes of a process -> its rows."""
        # a copy, since what lies behind rows of another size need not begin where its type may
        return received.clone().view(self.kind).view(self.counts[rank], *self.widths)


def widen(rows: Tensor, shape: Sequence[int]) -> Tensor:
    """[N, ..] -> [N, *shape]: more places, that hold 0, False, or -1 where numbers are whole."""
    if tuple(rows.shape[1:]) == tuple(shape):
        return rows
    whole = rows.dtype not in (torch.bool, torch.uint8) and not rows.dtype.is_floating_point
    wide = rows.new_full((len(rows), *shape), -1 if whole else 0)
    wide[narrow(rows.shape)] = rows
    return wide


def narrow(shape: Sequence[int]) -> tuple[slice, ...]:
    """Where rows of that shape stand in wider ones."""
    return tuple(slice(size) for size in shape)


def _name(kind: torch.dtype) -> str:
    return str(kind).removeprefix("torch.")


def _as_bytes(rows: Tensor) -> Tensor:
    return rows.contiguous().flatten().view(torch.uint8)


def _widest(shapes: Sequence[Sequence[int]]) -> tuple[int, ...]:
    return tuple(max(sizes) for sizes in zip(*shapes, strict=True))
