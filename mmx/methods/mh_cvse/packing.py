"""Work on what is there: layers that treat each region or word by itself need not see the padding.

Source: ours.
Shapes: B items, T regions or words, N of them that are there, D width.
"""

from torch import Tensor


class Packing:
    """The places of a batch that are there. Captions of all lengths beside each other are half padding."""

    def __init__(self, mask: Tensor) -> None:
        self._shape = mask.shape
        self._places = None if bool(mask.all()) else mask.flatten().nonzero()[:, 0]

    def pack(self, values: Tensor) -> Tensor:
        """[B, T, D] -> [N, D], item by item."""
        flat = values.flatten(0, 1)
        return flat if self._places is None else flat.index_select(0, self._places)

    def unpack(self, packed: Tensor) -> Tensor:
        """[N, D] -> [B, T, D], zero on padding."""
        if self._places is None:
            return packed.unflatten(0, self._shape)
        empty = packed.new_zeros(self._shape.numel(), packed.shape[-1])
        return empty.index_copy(0, self._places, packed).unflatten(0, self._shape)
