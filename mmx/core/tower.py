"""Towers: which encoder a method reads each modality with, and whether it is trained.

A frozen tower runs once, in `mmx extract`, and the method reads its features. A trainable tower is a part of
the model and reads pixels or token ids.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

MODALITIES = ("image", "text")


@dataclass(frozen=True)
class Lora:
    """Small updates learned beside the weights of a tower's attention layers, which stay as they are:
    W + (alpha / rank) B A with B = 0 at the start.
    """

    rank: int
    alpha: float
    dropout: float = 0.0


@dataclass(frozen=True)
class TowerUse:
    """What a method asks for: an encoder by name, and which features of it.

    A method names its towers `image` and `text`; a third one, `regions`, is a frozen image encoder whose
    features are read beside what the image tower reads.
    """

    encoder: str
    trainable: bool
    features: tuple[str, ...]
    """Names of the Batch fields read when frozen, such as `image_features`, `patch_features`,
    `token_features`.
    """
    augment: str = "none"
    """How training pixels are varied: a name in `mmx.engine.augment`; for a trainable image tower only."""
    lora: Lora | None = None
    """What a trainable tower learns in place of its own weights; None for these."""
    size: tuple[int, int] | None = None
    """Height and width of the pixels that a trainable image tower reads; None for its own."""
    thumbnail: int = 0
    """Side of the `thumbnails` of posts that are read beside what the image tower reads; 0 for none."""


@dataclass(frozen=True)
class Tower:
    """What a method is given to build on: the feature width, and the network itself when it is to be
    trained.
    """

    width: int
    module: "nn.Module | None" = None
