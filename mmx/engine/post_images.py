"""PostImages: the pictures of posts, some of which have none.

Shapes: B posts, N posts of a split.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from mmx.engine.split_data import ImageSource, PixelImages


@dataclass(frozen=True)
class PostImages:
    """Reads what there is; a post without a picture has zeros, and `image_mask` tells which they are."""

    present: Tensor
    """[N] bool: which posts have a picture."""
    pictures: ImageSource | None
    """What the image tower reads; None where no post has a picture."""
    thumbnails: PixelImages | None = None

    def read(self, rows: Tensor, variants: Sequence[int] | None) -> dict[str, Tensor]:
        """[B] -> image_mask [B] bool, and the image fields of a Batch where any post has a picture."""
        mask = self.present[rows]
        if self.pictures is None or not bool(mask.any()):
            return {"image_mask": mask}
        some = rows[mask]
        chosen = (
            None if variants is None else [variants[place] for place in mask.nonzero().flatten().tolist()]
        )
        found = dict(self.pictures.read(some, chosen))
        if self.thumbnails is not None:
            found["thumbnails"] = self.thumbnails.read(some, None)["pixels"]
        return {"image_mask": mask, **{field: _spread(value, mask) for field, value in found.items()}}


def _spread(value: Tensor, mask: Tensor) -> Tensor:
    """[P, ...] of the posts with a picture -> [B, ...] with zeros for the others."""
    if bool(mask.all()):
        return value
    whole = value.new_zeros(len(mask), *value.shape[1:])
    whole[mask] = value
    return whole
