"""How many wrong answers stand before each query's best right one, block by block of the scores.

Source: ours. Shapes: N images, C captions, D width of the shared space, R relevant pairs; n images and c
captions of a block.

A block is multiplied in bfloat16 where the processor has instructions for it, at about twice the rate of
float32. Scores within that product's greatest possible error of a query's best right answer are in doubt. A
few are made again in float64, pair by pair; where they are many, the block climbs to float32 and, for a model
that scores everything alike, to float64, and the blocks after it begin there. So the count is that of
float64, wherever a block ends.
"""

import numpy
import torch
from numpy import ndarray
from torch import Tensor

from mmx.core.device import multiplies_bfloat16

BLOCK_ROWS = 240
"""At most 255, since a column of a block is counted in uint8."""
BLOCK_COLUMNS = 4_096
PAIRS_AT_ONCE = 64
"""Their vectors in float64 are memory that the allocator keeps."""
FEW = 1 / 64
"""Of a block's pairs; more of them cost more one by one than the whole block in the next format."""
ROUNDING = 2.0**-23
HALF_ROUNDING = 1.02 * 2.0**-8
"""The share of a number that bfloat16 may miss, with a little for what its rounding adds to the others."""
ROWS_AT_ONCE = 1_024
SAME = 1e-12
"""Two float64 scores that differ by less than this share of the largest lengths are a tie."""
ORDINARY = (1e-10, 1e10)
"""Lengths of the longest vectors whose products stay clear of the ends of bfloat16's range."""


class Counter:
    """Adds up how many wrong answers stand before the best right answer of each query.

    Products and conversions are left to torch: a comparison is too short to be worth waking a second thread.
    """

    def __init__(
        self, image: Tensor, text: Tensor, best_text: Tensor, best_image: Tensor, longest: tuple[float, float]
    ) -> None:
        """Take float32 [N, D] and [C, D], the best right score of each image [N] and caption [C] in float64,
        and the lengths of the longest image and the longest caption.
        """
        self.image, self.text = image, text
        self.best_text, self.best_image = best_text.numpy()[:, None], best_image.numpy()[None]
        self.i2t = numpy.zeros(len(image), dtype=numpy.int64)
        self.t2i = numpy.zeros(len(text), dtype=numpy.int64)
        self.scale = longest[0] * longest[1]
        ordinary = all(ORDINARY[0] < length < ORDINARY[1] for length in longest)
        self.formats = [torch.float32, torch.float64]
        if ordinary and multiplies_bfloat16():
            self.formats.insert(0, torch.bfloat16)
            missed = _missed(image), _missed(text)
            self.missed = missed[0] * longest[1] + missed[1] * longest[0] + missed[0] * missed[1]

    def count(self, columns: slice, rows_at_once: int, pair_image: Tensor, pair_text: Tensor) -> None:
        """Count among some captions and all images; the right pairs [R] come with their images rising."""
        text = self.text[columns]
        for top in range(0, len(self.image), rows_at_once):
            rows = slice(top, top + rows_at_once)
            first, last = numpy.searchsorted(pair_image.numpy(), (rows.start, rows.stop))
            row, column = pair_image[first:last].numpy() - top, pair_text[first:last].numpy() - columns.start
            inside = (column >= 0) & (column < len(text))
            text = self._count_block(rows, columns, text, (row[inside], column[inside]))

    def _count_block(
        self, rows: slice, columns: slice, text: Tensor, right: tuple[ndarray, ndarray]
    ) -> Tensor:
        """Count in a block, in the first format that leaves few in doubt; -> its captions in that format."""
        while True:
            if text.dtype != self.formats[0]:
                text = self.text[columns].to(self.formats[0])
            product = self.image[rows].to(text.dtype) @ text.T
            scores = (product.float() if product.dtype == torch.bfloat16 else product).numpy()
            scores[right] = -numpy.inf
            i2t, t2i = (self._before(scores, rows, columns, axis) for axis in (1, 0))
            if i2t is not None and t2i is not None:
                self.i2t[rows] += i2t
                self.t2i[columns] += t2i
                return text
            self.formats = self.formats[1:]

    def _before(self, scores: ndarray, rows: slice, columns: slice, axis: int) -> ndarray | None:
        """Wrong answers at or above the best right one, counted along `axis` of the scores [n, c]; None where
        too many are in doubt.
        """
        best = self.best_text[rows] if axis == 1 else self.best_image[:, columns]
        same = self.scale * SAME
        if self.formats[0] == torch.float64:
            return _count(scores >= best - same, axis)
        doubt = self._doubt(best)
        surely = scores > (best + doubt).astype(numpy.float32)
        possibly = scores >= (best - doubt).astype(numpy.float32)
        number = _count(surely, axis)
        doubtful = numpy.count_nonzero(possibly) - int(number.sum())
        if doubtful > FEW * scores.size:
            return None
        if doubtful:
            pairs = divmod(numpy.flatnonzero(possibly > surely), scores.shape[1])
            row, column = (torch.from_numpy(place) for place in pairs)
            exact = pair_scores(self.image[rows], self.text[columns], row, column).numpy()
            query = pairs[1 - axis]
            number += numpy.bincount(query[exact >= best.ravel()[query] - same], minlength=len(number))
        return number

    def _doubt(self, best: ndarray) -> ndarray:
        """How far a score near the best right one may lie from its value in float64."""
        doubt = self.scale * ROUNDING * self.image.shape[1] ** 0.5
        if self.formats[0] == torch.bfloat16:  # both factors were rounded, then their product
            doubt += self.missed + HALF_ROUNDING * (numpy.abs(best) + self.missed)
        return doubt


def pair_scores(image: Tensor, text: Tensor, pair_image: Tensor, pair_text: Tensor) -> Tensor:
    """[R] float64 scores of the pairs listed."""
    images, texts, rows, columns = (tensor.numpy() for tensor in (image, text, pair_image, pair_text))
    scores = numpy.empty(len(rows), dtype=numpy.float64)
    for start in range(0, len(rows), PAIRS_AT_ONCE):
        some = slice(start, start + PAIRS_AT_ONCE)
        factors = images.take(rows[some], axis=0), texts.take(columns[some], axis=0)
        scores[some] = numpy.vecdot(*(factor.astype(numpy.float64) for factor in factors))
    return torch.from_numpy(scores)


def _missed(vectors: Tensor) -> float:
    """[X, D] -> the length of the longest difference between a row and its bfloat16."""
    parts = (some.bfloat16().float().sub_(some).norm(dim=1) for some in vectors.split(ROWS_AT_ONCE))
    return max(float(part.max()) for part in parts)


def _count(marks: ndarray, axis: int) -> ndarray:
    """int64 number of True along an axis; a column is short enough for uint8, which is far faster."""
    if axis == 0:
        return marks.view(numpy.uint8).sum(0, dtype=numpy.uint8).astype(numpy.int64)
    return numpy.array([numpy.count_nonzero(row) for row in marks], dtype=numpy.int64)
