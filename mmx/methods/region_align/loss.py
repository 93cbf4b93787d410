"""What region-align learns from: the global score in the first stage, the sum of both scores in the second.

Source: seed 004; arXiv 2303.15343 (SigLIP), section 3.2.
Shapes: B images, C captions.
"""

import torch
from torch import Tensor
from torch.nn import functional

from mmx.core.batch import Batch
from mmx.methods.region_align.model import Reading, RegionAlign
from mmx.nn.contrastive import contrastive_loss, positive_pairs


def loss(model: RegionAlign, batch: Batch, progress: float) -> dict[str, Tensor]:
    """The loss that the settings name, in nats; the fine score takes part while it is being learned.

    logits = (cosine + weight fine) / temperature
    """
    learning = any(
        parameter.requires_grad
        for part in (model.alignment, model.region_map)
        if part is not None
        for parameter in part.parameters()
    )
    image, text = model.look(batch, parts=learning), model.read(batch, parts=learning)
    positive = positive_pairs(batch.image_group, batch.text_group)
    # Scores are divided by a small temperature: half precision would round away what sets them apart.
    with torch.autocast(image.embedding.device.type, enabled=False):
        scale = model.scale()
        logits = scale * (image.embedding @ text.embedding.T)
        if not learning:
            return {"total": _compare(model, logits, positive)}
        fine = scale * model.fine_weight() * fine_scores(model, image, text).T
        total = _compare(model, logits + fine, positive)
        if not model.settings.fine_loss:
            return {"total": total}
        alone = _compare(model, fine, positive)
        return {"total": total + model.settings.fine_loss * alone, "both": total, "fine": alone}


def fine_scores(model: RegionAlign, image: Reading, text: Reading) -> Tensor:
    """The parts of G images and of Q captions -> fine_scores [Q, G]."""
    images = model.alignment.keep_regions(image.parts, image.mask)
    return model.alignment(images, model.alignment.keep_tokens(text.parts, text.mask))


def sigmoid_loss(logits: Tensor, positive: Tensor) -> Tensor:
    """[B, C] logits, [B, C] bool -> scalar >= 0 in nats: the sum over images of -log sigmoid(+-logit), a
    caption.
    """
    signs = 2 * positive.to(logits.dtype) - 1
    return -functional.logsigmoid(signs * logits).sum() / logits.shape[1]


def _compare(model: RegionAlign, logits: Tensor, positive: Tensor) -> Tensor:
    if model.settings.loss == "sigmoid":
        return sigmoid_loss(logits + model.bias, positive)
    return contrastive_loss(logits, positive)
