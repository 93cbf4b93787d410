"""Work on what is there: layers that treat each region or word by itself need not see the padding.

Source: ours.
Shapes: B items, T regions or words, N of them that are there, D width.
"""

import torch
from torch import Tensor


class Packing:
    """The places of a batch that are there. Captions of all lengths beside each other are half padding.

    A graph that is written for other programs knows no batch beforehand: there nothing is packed, and what
    stands on padding is set to zero.
    """

    def __init__(self, mask: Tensor) -> None:
        self._shape, self._written = mask.shape, torch.onnx.is_in_onnx_export()
        self._mask, self._places = mask, None
        if not self._written and not bool(mask.all()):
            self._places = mask.flatten().nonzero()[:, 0]

    def pack(self, values: Tensor) -> Tensor:
        """[B, T, D] -> [N, D], item by item."""
        if self._written:
            return values
        flat = values.flatten(0, 1)
        return flat if self._places is None else flat.index_select(0, self._places)

    def unpack(self, packed: Tensor) -> Tensor:
        """[N, D] -> [B, T, D], zero on padding."""
        if self._written:
            return packed.masked_fill(~self._mask[..., None], 0.0)
        if self._places is None:
            return packed.unflatten(0, self._shape)
        empty = packed.new_zeros(self._shape.numel(), packed.shape[-1])
        return empty.index_copy(0, self._places, packed).unflatten(0, self._shape)
