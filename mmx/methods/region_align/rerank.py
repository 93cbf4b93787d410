"""The second look at pairs: what is kept of images and captions, how pairs are scored from it, and why.

Source: seed 004, "Stage 2"; the cached form is ours.
Shapes: B images, C captions, Q captions, G images, L tokens, R regions.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from mmx.core.batch import Batch
from mmx.core.present import present
from mmx.methods.region_align.gathering import CaptionGathering
from mmx.methods.region_align.model import RegionAlign, with_mirror


def keep_image(model: RegionAlign, batch: Batch) -> dict[str, Tensor]:
    """The images of a batch -> keys and evidence, or the regions themselves, [B, R, ..]; mask [B, R] bool;
    and image_embedding [B, D] where the tower was run for its patches.
    """
    if model.region_map is not None:
        return _keep_regions(model, *model.map_regions(batch))
    seen = model.look(batch, parts=True)
    embedding = with_mirror(model, batch, seen.embedding)
    return {**_keep_regions(model, seen.parts, seen.mask), "image_embedding": embedding}


def keep_text(model: RegionAlign, batch: Batch) -> dict[str, Tensor]:
    """The captions of a batch -> their tokens [C, L, ..], or each as a whole; mask [C, L] bool; and
    text_embedding [C, D].
    """
    read = model.read(batch, parts=True)
    with torch.autocast(present(read.parts).device.type, enabled=False):
        kept = model.alignment.keep_tokens(read.parts, read.mask)
    return {**kept, "text_embedding": read.embedding}


def fine(model: RegionAlign, images: Mapping[str, Tensor], texts: Mapping[str, Tensor]) -> Tensor:
    """What is kept of G images and of Q captions -> fine_scores [Q, G] float32."""
    with torch.autocast(texts["mask"].device.type, enabled=False):
        return model.alignment(_float(images), _float(texts))


def weight(model: RegionAlign) -> float:
    """What the fine score counts beside a cosine; 0 while there is none, so that nobody works it out."""
    return 0.0 if model.alignment.is_silent() else model.fine_weight().item()


def explain(model: RegionAlign, batch: Batch) -> Tensor:
    """A batch with caption i beside image i -> [C, L, R]: what each token and region add to the score; the
    rest of it is the cosine.
    """
    images = _float(keep_image(model, batch))
    with torch.autocast(images["mask"].device.type, enabled=False):
        read = model.read(batch, parts=True)
        if isinstance(model.alignment, CaptionGathering):
            found = model.alignment.explain(images, present(read.parts), present(read.mask))
        else:
            texts = _float(model.alignment.keep_tokens(read.parts, read.mask))
            found = model.alignment.explain(images, texts)
        return model.fine_weight() * found


def _keep_regions(model: RegionAlign, regions: Tensor, mask: Tensor) -> dict[str, Tensor]:
    with torch.autocast(regions.device.type, enabled=False):
        return model.alignment.keep_regions(regions, mask)


def _float(kept: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value if value.dtype == torch.bool else value.float() for name, value in kept.items()}
