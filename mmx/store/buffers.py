"""Memory for what is read again and again: asking the system for it costs more than filling it."""

import math
import threading
import weakref
from collections.abc import Sequence
from dataclasses import dataclass

import numpy
import torch
from torch import Tensor

WORTHWHILE = 1 << 20
"""Bytes from which memory is kept; less than that the allocator keeps itself."""
MOST = 8
"""Pieces kept: those read ahead, those in use, and one to fill."""


@dataclass(eq=False)
class _Piece:
    memory: Tensor
    lease: "weakref.ref[numpy.ndarray] | None" = None
    """The array that every tensor over the memory holds on to, for as long as there is one."""

    @property
    def is_free(self) -> bool:
        return self.lease is None or self.lease() is None


class Buffers:
    """Float32 tensors whose memory is used again once nobody holds them, or a view of them, any more."""

    def __init__(self) -> None:
        self._pieces: list[_Piece] = []
        self._lock = threading.Lock()

    def empty(self, shape: Sequence[int]) -> Tensor:
        """A tensor of any numbers."""
        size = math.prod(shape)
        if size * torch.float32.itemsize < WORTHWHILE:
            return torch.empty(*shape)
        with self._lock:
            piece = self._free_piece(size)
            array = piece.memory[:size].numpy()
            piece.lease = weakref.ref(array)
            return torch.from_numpy(array).view(*shape)

    def _free_piece(self, size: int) -> _Piece:
        fits = (piece for piece in self._pieces if piece.is_free and len(piece.memory) >= size)
        fitting = next(fits, None)
        if fitting is None:
            fitting = _Piece(torch.empty(size))
            # those too small go: the larger one serves their requests too
            self._pieces = [piece for piece in self._pieces if not piece.is_free][: MOST - 1]
            self._pieces.append(fitting)
        return fitting
