"""Which images and captions each batch of a training holds.

The order is a pure function of seed, stage and epoch, so that training can start at any batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy
import torch
from torch import Tensor

from mmx.core.errors import DataError, UsageError
from mmx.core.method import Stage
from mmx.core.seed import derive_seed
from mmx.engine.split_data import SplitData

Place = tuple[int, int]
"""(epoch from 1, batch of that epoch from 0)."""


@dataclass(frozen=True)
class BatchPlan:
    """What one batch holds: rows [B] and captions [C] of the split, and a seed of variation an image."""

    rows: Tensor
    captions: Tensor
    """Those of the first image, those of the second, and so on."""
    variants: Sequence[int]
    taken: Tensor
    """[B] int64: how many captions of each image."""

    def part(self, first: int, end: int) -> "BatchPlan":
        """The images from `first` up to `end`, with all their captions."""
        begin, after = int(self.taken[:first].sum()), int(self.taken[:end].sum())
        rows, variants = self.rows[first:end], self.variants[first:end]
        return BatchPlan(rows, self.captions[begin:after], variants, self.taken[first:end])


class TrainingOrder:
    """The batches of every epoch of one stage.

    Each epoch visits every image that has a caption once, in a new order. `captions_per_image` captions of
    each are drawn without repetition; an image that has fewer gives all it has; None takes all. The last
    batch of an epoch may be short; a single image, with nothing to compare it with, joins the batch before.
    With a `bucket` of several batches, the images of so many batches are sorted by the longest of their
    captions before they are cut into batches, whose order is then left to chance.
    """

    def __init__(self, data: SplitData, stage: Stage, seed: int) -> None:
        """Lay out the epochs.

        Raises:
            UsageError: when a batch could not hold two images.
            DataError: when fewer than two images have a caption.
        """
        self._offsets = data.caption_offsets.numpy()
        counts = numpy.diff(self._offsets)
        readable = [data.posts or record.image is not None for record in data.records]
        self._rows = numpy.flatnonzero((counts > 0) & readable)
        each = stage.captions_per_image
        self._taken = counts if each is None else numpy.minimum(counts, each)
        lengths = data.texts.lengths if stage.bucket > 1 else None
        self._lengths = None if lengths is None else lengths.numpy()
        self._pool, batch_size = stage.bucket * stage.batch_size, stage.batch_size
        self._seed = (seed, stage.name)
        self._cached: tuple[int, list[BatchPlan]] = (0, [])
        if batch_size < 2:
            raise UsageError(
                f"batch_size={batch_size} leaves no image to compare with. It must be at least 2."
            )
        if len(self._rows) < 2:
            raise DataError(f"training needs at least 2 images with captions; there are {len(self._rows)}.")
        ends = [*range(batch_size, len(self._rows), batch_size), len(self._rows)]
        if len(ends) > 1 and ends[-1] - ends[-2] == 1:
            del ends[-2]
        self._bounds = list(zip([0, *ends], ends, strict=False))

    @property
    def batches(self) -> int:
        """Batches an epoch."""
        return len(self._bounds)

    @property
    def images(self) -> int:
        """Images an epoch."""
        return len(self._rows)

    def epoch(self, epoch: int) -> list[BatchPlan]:
        """The batches of an epoch (from 1), always the same for the same seed, stage and epoch."""
        if self._cached[0] != epoch:
            self._cached = (epoch, self._plan(epoch))
        return self._cached[1]

    def places(self, start: Place, epochs: int) -> list[Place]:
        """Every place from `start` to the end of the last epoch."""
        return [(e, b) for e in range(start[0], epochs + 1) for b in range(self.batches) if (e, b) >= start]

    def _plan(self, epoch: int) -> list[BatchPlan]:
        # In what order these are drawn is a part of what a seed means: another one is another training.
        random = numpy.random.default_rng(derive_seed(*self._seed, epoch))
        rows = random.permutation(self._rows)
        variants = random.integers(0, 2**62, size=len(rows))
        shuffled = self._shuffle_captions(random)
        captions = [shuffled[self._offsets[row] :][: self._taken[row]] for row in rows]
        order = self._by_length(captions)
        plans = []
        for first, end in self._bounds:
            places = order[first:end]
            plans.append(
                BatchPlan(
                    torch.from_numpy(rows[places]),
                    torch.from_numpy(numpy.concatenate([captions[place] for place in places])),
                    variants[places].tolist(),
                    torch.from_numpy(self._taken[rows[places]]),
                )
            )
        if self._lengths is not None:
            random.shuffle(plans)
        return plans

    def _by_length(self, captions: Sequence[numpy.ndarray]) -> numpy.ndarray:
        """Places of the images, those of a pool of batches sorted by the longest of their captions."""
        order = numpy.arange(len(captions))
        if self._lengths is None:
            return order
        longest = numpy.array([self._lengths[taken].max() for taken in captions])
        return numpy.lexsort((longest, order // self._pool))

    def _shuffle_captions(self, random: numpy.random.Generator) -> numpy.ndarray:
        """All captions, shuffled within each image."""
        image = numpy.repeat(numpy.arange(len(self._offsets) - 1), numpy.diff(self._offsets))
        return numpy.lexsort((random.random(len(image)), image))
