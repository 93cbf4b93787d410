"""Batch: the name and shape of every tensor that a method may be given.

Shapes: B images, C captions, L tokens, P patches, R regions, M concepts, F the encoder's width.
Masks are True where there is something.
"""

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass
class Batch:
    """What a model reads at once; only the fields that its towers need are filled.

    Images and captions are grouped: image i and caption j belong together where `image_group[i] ==
    text_group[j]`.
    """

    pixels: "Tensor | None" = None
    """[B, 3, height, width] uint8 RGB."""
    image_features: "Tensor | None" = None
    """[B, F] pooled output of a frozen image encoder."""
    patch_features: "Tensor | None" = None
    """[B, P, F] unpooled output of a frozen image encoder."""
    region_features: "Tensor | None" = None
    """[B, R, F] vectors of a detector's regions by falling score, or of the cells of an encoder's grid."""
    region_mask: "Tensor | None" = None
    """[B, R] bool, for `region_features`; without these it hides patches of a tower's own grid."""
    region_boxes: "Tensor | None" = None
    """[B, R, 4] x1 y1 x2 y2 as fractions of the picture."""
    region_features_mirrored: "Tensor | None" = None
    """[B, R, F] those of the mirrored picture, with the same mask; in evaluation only."""
    image_group: "Tensor | None" = None
    """[B] int64, equal for pictures of one thing (the record's row, or its identity)."""

    token_ids: "Tensor | None" = None
    """[C, L] int64, padded."""
    text_features: "Tensor | None" = None
    """[C, F] pooled output of a frozen text encoder."""
    token_features: "Tensor | None" = None
    """[C, L, F] unpooled output of a frozen text encoder, padded."""
    token_mask: "Tensor | None" = None
    """[C, L] bool, for `token_ids` and for `token_features`."""
    image_mask: "Tensor | None" = None
    """[B] bool, of posts: which have a picture; the others have zeros in the fields of images. Those fields
    are left out where no post of the batch has one.
    """
    thumbnails: "Tensor | None" = None
    """[B, 3, side, side] uint8 RGB: the whole picture, small."""

    word_starts: "Tensor | None" = None
    """[C, W] int64: place, among the tokens, of the first piece of each word of a post, padded with -1."""
    tag_ids: "Tensor | None" = None
    """[C, W] int64: the tag of each word, padded with -1; a tag that the model does not know is -1 too."""
    label_ids: "Tensor | None" = None
    """[C, 1] int64: the class of a post; -1 for none, or for one that the model does not know."""
    spelling_ids: "Tensor | None" = None
    """[C, W S] int64: the letters of each word as S numbers of the method's own, padded with -1."""
    spoken_ids: "Tensor | None" = None
    """[C, T] int64: the words of a caption as a method's own vocabulary numbers them, padded with -1."""
    concept_ids: "Tensor | None" = None
    """[C, M] int64: the concepts that a caption names, padded with -1."""
    text_group: "Tensor | None" = None
    """[C] int64, see `image_group`."""

    def filled(self) -> "dict[str, Tensor]":
        """The fields that hold something, by name."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: value for name, value in fields.items() if value is not None}

    def to(self, device: "torch.device") -> "Batch":
        """The same batch on another device."""
        return Batch(**{name: value.to(device, non_blocking=True) for name, value in self.filled().items()})
