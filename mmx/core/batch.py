"""Batch: the name and shape of every tensor that a method may be given.

Shapes: B images, C captions, L tokens, P patches, R regions, M concepts, F the encoder's width.
Masks are True where there is something.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor

UNFILLED: Any = None
"""Of a field that nobody has filled. To a type checker every field is a tensor: a model reads the fields that
its towers and its method declare, and these are filled.
"""


@dataclass
class Batch:
    """What a model reads at once; only the fields that its towers need are filled.

    Images and captions are grouped: image i and caption j belong together where `image_group[i] ==
    text_group[j]`.
    """

    pixels: "Tensor" = UNFILLED
    """[B, 3, height, width] uint8 RGB."""
    image_features: "Tensor" = UNFILLED
    """[B, F] pooled output of a frozen image encoder."""
    patch_features: "Tensor" = UNFILLED
    """[B, P, F] unpooled output of a frozen image encoder."""
    region_features: "Tensor" = UNFILLED
    """[B, R, F] vectors of a detector's regions by falling score, or of the cells of an encoder's grid."""
    region_mask: "Tensor" = UNFILLED
    """[B, R] bool, for `region_features`; without these it hides patches of a tower's own grid."""
    region_boxes: "Tensor" = UNFILLED
    """[B, R, 4] x1 y1 x2 y2 as fractions of the picture."""
    region_features_mirrored: "Tensor" = UNFILLED
    """[B, R, F] those of the mirrored picture, with the same mask; in evaluation only."""
    image_group: "Tensor" = UNFILLED
    """[B] int64, equal for pictures of one thing (the record's row, or its identity)."""

    token_ids: "Tensor" = UNFILLED
    """[C, L] int64, padded."""
    text_features: "Tensor" = UNFILLED
    """[C, F] pooled output of a frozen text encoder."""
    token_features: "Tensor" = UNFILLED
    """[C, L, F] unpooled output of a frozen text encoder, padded."""
    token_mask: "Tensor" = UNFILLED
    """[C, L] bool, for `token_ids` and for `token_features`."""
    image_mask: "Tensor" = UNFILLED
    """[B] bool, of posts: which have a picture; the others have zeros in the fields of images. Those fields
    are left out where no post of the batch has one.
    """
    thumbnails: "Tensor" = UNFILLED
    """[B, 3, side, side] uint8 RGB: the whole picture, small."""

    word_starts: "Tensor" = UNFILLED
    """[C, W] int64: place, among the tokens, of the first piece of each word of a post, padded with -1."""
    tag_ids: "Tensor" = UNFILLED
    """[C, W] int64: the tag of each word, padded with -1; a tag that the model does not know is -1 too."""
    label_ids: "Tensor" = UNFILLED
    """[C, 1] int64: the class of a post; -1 for none, or for one that the model does not know."""
    concept_ids: "Tensor" = UNFILLED
    """[C, M] int64: the concepts that a caption names, padded with -1."""
    text_group: "Tensor" = UNFILLED
    """[C] int64, see `image_group`."""

    own_ids: "Mapping[str, Tensor]" = field(default_factory=dict)
    """What a method's `caption_ids` numbers of each caption under names that are no field here: by name
    [C, ..] int64, padded with -1.
    """

    @classmethod
    def of(cls, named: "Mapping[str, Tensor]") -> "Batch":
        """Back from `filled`: what is named as no field is the method's own."""
        known = {field.name for field in dataclasses.fields(cls)}
        fields = {name: value for name, value in named.items() if name in known}
        return cls(**fields, own_ids={name: value for name, value in named.items() if name not in known})

    def filled(self) -> "dict[str, Tensor]":
        """The fields that hold something and the method's own numbers, by name."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        own = fields.pop("own_ids")
        return {name: value for name, value in fields.items() if value is not None} | own

    def pin_memory(self) -> "Batch":
        """The same in memory that a card copies from by itself, while the processor goes on."""
        return Batch.of({name: value.pin_memory() for name, value in self.filled().items()})

    def to(self, device: "torch.device") -> "Batch":
        """The same batch on another device."""
        moved = {name: value.to(device, non_blocking=True) for name, value in self.filled().items()}
        return Batch.of(moved)
