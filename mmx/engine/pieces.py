"""Pieces of a batch: what is computed at a time, and which process computes it.

The cut is a pure function of the sizes of batch, chunk and number of processes. A piece has its own random
numbers, by its number, whichever process computes it: a batch in two chunks on one process gives what two
processes give.
"""

import math
from dataclasses import dataclass

from mmx.core.batch import Batch
from mmx.core.errors import UsageError


@dataclass(frozen=True)
class Piece:
    """Some images of a batch with all their captions."""

    number: int
    """From 0, over all processes."""
    batch: Batch

    def pin_memory(self) -> "Piece":
        """The same in memory that a card copies from; torch's loader calls it by this name."""
        return Piece(self.number, self.batch.pin_memory())


@dataclass(frozen=True)
class Cut:
    """How many pieces a batch is cut into, as even as can be, and which of them are this process's."""

    count: int = 1
    own: range = range(1)

    def bounds(self, images: int) -> list[tuple[int, int, int]]:
        """Number, first image and end of each piece of this process; one that gets no image is left out."""
        ends = [images * piece // self.count for piece in range(self.count + 1)]
        return [(piece, ends[piece], ends[piece + 1]) for piece in self.own if ends[piece] < ends[piece + 1]]


WHOLE = Cut()
"""One process that computes the batch at once."""


def cut_batches(batch_size: int, chunk: int | None, rank: int, processes: int) -> Cut:
    """Cut batches for so many processes, in pieces of about `chunk` images (None: one piece a process).

    Raises:
        UsageError: when a process would have no image, or a chunk is none.
    """
    if chunk is not None and chunk < 1:
        raise UsageError(f"--chunk '{chunk}' holds no image. It must be at least 1.")
    if batch_size < processes:
        raise UsageError(
            f"batch_size={batch_size} is too small for {processes} processes: each needs an image of every "
            f"batch. Set --batch-size {processes} or more, or start fewer processes."
        )
    each = math.ceil(math.ceil(batch_size / (chunk or batch_size)) / processes)
    return Cut(each * processes, range(rank * each, (rank + 1) * each))
