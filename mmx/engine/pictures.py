"""Pictures on their way into an image encoder: one tensor where they are of one size, else a list."""

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor, nn

from mmx.core.view import View
from mmx.store.shard import MIRRORED

Pixels: TypeAlias = Tensor | list[Tensor]
"""[B, 3, height, width] uint8, or B times [3, height, width] of different sizes."""


def join_pictures(pictures: Sequence[Tensor], view: View) -> Pixels:
    """Pictures [3, height, width] as an encoder of this view reads them together."""
    return list(pictures) if view.fit == "within" else torch.stack(list(pictures))


def to_device(pixels: Pixels, device: torch.device) -> Pixels:
    """The same on a device."""
    return pixels.to(device) if isinstance(pixels, Tensor) else [picture.to(device) for picture in pixels]


def encode_pictures(
    encoder: nn.Module, pixels: Pixels, device: torch.device, mirrored: bool
) -> dict[str, Tensor]:
    """B pictures -> the fields that an image encoder gives, [B, ..] each, and if asked for those of the
    mirrored pictures as `<field>_mirrored`.
    """
    there = to_device(pixels, device)
    fields = dict(encoder(there))
    if mirrored:
        flipped = there.flip(-1) if isinstance(there, Tensor) else [picture.flip(-1) for picture in there]
        fields |= {field + MIRRORED: value for field, value in encoder(flipped).items()}
    return fields
