"""The second look of attention=cross: what is kept of images and captions, and how pairs are scored from it.

Source: arXiv 2107.07651 (ALBEF), section 3.2; that both scores add up is ours.
Shapes: B images, C captions, Q captions, G images, L tokens, P patches, W attention width.

Hard negatives are drawn by exp(cosine / temperature), so that the logit learned from them is what the cosine
does not say yet: log odds of a pair = cosine / temperature + logit, up to a constant.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from mmx.core.batch import Batch
from mmx.core.present import present
from mmx.methods.attention_clip.branch import States
from mmx.methods.attention_clip.model import AttentionClip, image_embedding, text_embedding


def keep_image(model: AttentionClip, batch: Batch) -> dict[str, Tensor]:
    """The images of a batch -> states [B, 1 + P, W], mask [B, 1 + P] bool, and image_embedding [B, D]."""
    seen = model.look(batch)
    return {**_kept(seen.states[0]), "image_embedding": image_embedding(model, batch, seen.projected)}


def keep_text(model: AttentionClip, batch: Batch) -> dict[str, Tensor]:
    """The captions of a batch -> states [C, 1 + L, W], mask [C, 1 + L] bool, and text_embedding [C, D]."""
    read = model.read(batch)
    return {**_kept(read.states[0]), "text_embedding": text_embedding(read.projected)}


def fine(model: AttentionClip, images: Mapping[str, Tensor], texts: Mapping[str, Tensor]) -> Tensor:
    """What is kept of G images and of Q captions -> logits [Q, G] float32."""
    with torch.autocast(texts["mask"].device.type, enabled=False):
        return present(model.pairs).table(
            texts["states"].float(), texts["mask"], images["states"].float(), images["mask"]
        )


def weight(model: AttentionClip) -> float:
    """What the logit counts beside a cosine; 0 while there is none, so that nobody works it out."""
    return (
        0.0
        if present(model.pairs).is_silent()
        else model.settings.cross_weight / model.log_scale.exp().item()
    )


def _kept(states: States) -> dict[str, Tensor]:
    return {"states": states.tokens, "mask": states.mask}
