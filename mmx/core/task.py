"""Task: something that can be measured of a trained model, and what it needs from a method."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn

    from mmx.core.batch import Batch

    Encode = Callable[[nn.Module, Batch], Tensor]


@dataclass(frozen=True)
class Retrieval:
    """Matching of images and captions in a shared space.

    `encode_image` gives image_embedding [B, D] and `encode_text` text_embedding [C, D], both of unit length,
    so that
    the score of a pair is their inner product.
    """

    encode_image: "Encode"
    encode_text: "Encode"

    name: str = "retrieval"
    primary_metric: str = "rsum"
