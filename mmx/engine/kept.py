"""What a second stage keeps of every image or caption of a split, and gives back for those asked for.

Shapes: N items, B items of a batch, L their length where batches differ in it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

LEAST, LARGEST = 2.0**-10, 2.0**15
"""Between these a tensor's largest value must lie to be held in float16: then nothing overflows, and what
underflows is less than a ten-thousandth of it.
"""


@dataclass(frozen=True)
class KeptItems:
    """By name, what is kept of all items, as small as it can be held."""

    fields: Mapping[str, "_Field"]
    place: Tensor
    """[N] int64: where each item stands in the fields."""

    def take(self, items: Tensor) -> dict[str, Tensor]:
        """[B] int64 -> by name [B, ..] or [B, L, ..] padded with zeros to the longest, numbers in float32."""
        places = self.place[items]
        return {name: field.take(places) for name, field in self.fields.items()}

    @property
    def nbytes(self) -> int:
        """How much memory it takes."""
        return sum(field.values.nbytes for field in self.fields.values())

    def to(self, device: torch.device) -> "KeptItems":
        """The same on another device."""
        return KeptItems({name: field.to(device) for name, field in self.fields.items()}, self.place)


class KeptBatches:
    """Gathers what is kept, batch by batch."""

    def __init__(self) -> None:
        self._parts: dict[str, list[Tensor]] = {}
        self._count = 0
        self.not_finite: list[int] = []
        """Items, in the order in which they were added, with a number that is none."""

    def add(self, kept: Mapping[str, Tensor]) -> None:
        """By name [B, ..] of the next B items."""
        size = {len(value) for value in kept.values()}
        if len(size) > 1 or (self._parts and self._parts.keys() != kept.keys()):
            raise ValueError(f"a batch keeps { ({name: list(value.shape) for name, value in kept.items()}) }")
        for name, value in kept.items():
            wrong = ~value.flatten(1).isfinite().all(1) if value.ndim > 1 else ~value.isfinite()
            self.not_finite += (wrong.nonzero().squeeze(1) + self._count).tolist()
            self._parts.setdefault(name, []).append(held(value.detach()).cpu())
        self._count += max(size, default=0)

    def join(self, items: Tensor) -> KeptItems:
        """All of it; `items` [N] are those that were added, in the order in which they were."""
        # Popped one by one, so that no more than one field is held twice.
        fields = {name: _join(self._parts.pop(name)) for name in list(self._parts)}
        return KeptItems(fields, items.argsort())


@dataclass(frozen=True)
class _Field:
    """All items in one tensor: [N, ..], or where batches differ in length [sum of L, ..]."""

    values: Tensor
    begins: Tensor | None = None
    lengths: Tensor | None = None

    def take(self, places: Tensor) -> Tensor:
        """[B] -> [B, ..], padded."""
        device = self.values.device
        if self.begins is None or self.lengths is None:
            return plain(self.values.index_select(0, places.to(device)))
        lengths = self.lengths[places]
        longest = int(lengths.max()) if len(lengths) else 0
        within = torch.arange(longest)
        there = within < lengths[:, None]
        where = (self.begins[places, None] + within).where(there, 0).to(device)
        found = plain(self.values.index_select(0, where.flatten()).unflatten(0, where.shape))
        if bool(there.all()):
            return found
        hidden = ~there.to(device)
        return found.masked_fill(hidden.view(*hidden.shape, *[1] * (found.ndim - 2)), 0)

    def to(self, device: torch.device) -> "_Field":
        return _Field(self.values.to(device), self.begins, self.lengths)


def held(value: Tensor) -> Tensor:
    """Floating numbers in float16 where they fit, else in float32; anything else as it is."""
    if not value.is_floating_point():
        return value
    largest = float(value.abs().max()) if value.numel() else 0.0
    return value.half() if largest == 0.0 or LEAST <= largest <= LARGEST else value.float()


def plain(value: Tensor) -> Tensor:
    """Numbers in float32, whatever they were held in."""
    return value.float() if value.is_floating_point() else value


def _join(parts: Sequence[Tensor]) -> _Field:
    if {part.dtype for part in parts} == {torch.float16, torch.float32}:
        parts = [part.float() for part in parts]
    if parts[0].ndim < 2 or len({part.shape[1] for part in parts}) == 1:
        return _Field(torch.cat(list(parts)))
    lengths = torch.cat([torch.full((len(part),), part.shape[1]) for part in parts])
    values = torch.cat([part.flatten(0, 1) for part in parts])
    return _Field(values, lengths.cumsum(0) - lengths, lengths)
