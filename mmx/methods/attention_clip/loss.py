"""What attention-clip learns from: the corrected contrastive loss, or the seed's own.

Source: arXiv 2103.00020, section 2.3; seed 001, section II, as built in public code
(moein-shariatnia/OpenAI-CLIP, commit 73fea1f, CLIP.py).
Shapes: B images, C captions, D shared width.
"""

import torch
from torch import Tensor
from torch.nn import functional

from mmx.core.batch import Batch
from mmx.methods.attention_clip.model import AttentionClip
from mmx.nn.contrastive import contrastive_loss, positive_pairs, soft_cross_entropy


def loss(model: AttentionClip, batch: Batch, progress: float) -> dict[str, Tensor]:
    """The loss that the settings name, in nats; the mean of the members'."""
    images, texts = model.project_images(batch).float(), model.project_texts(batch).float()
    scale = model.clamped_scale()
    # Scores are divided by a small temperature: half precision would round away what sets them apart.
    with torch.autocast(images.device.type, enabled=False):
        if model.settings.loss == "faithful":
            losses = [faithful_loss(*pair, 1 / scale) for pair in zip(images, texts, strict=True)]
        else:
            positive = positive_pairs(batch.image_group, batch.text_group)
            losses = [corrected_loss(*pair, scale, positive) for pair in zip(images, texts, strict=True)]
        return {"total": torch.stack(losses).mean()}


def corrected_loss(image: Tensor, text: Tensor, scale: Tensor, positive: Tensor) -> Tensor:
    """[B, D], [C, D], 1 / temperature, [B, C] bool -> scalar in nats: symmetric InfoNCE of cosines."""
    cosine = functional.normalize(image, dim=-1) @ functional.normalize(text, dim=-1).T
    return contrastive_loss(scale * cosine, positive)


def faithful_loss(image: Tensor, text: Tensor, temperature: Tensor) -> Tensor:
    """[B, D], [B, D] not of unit length, pair by pair -> scalar in nats.

    logits  = T I' / temperature
    targets = softmax_row(temperature (I I' + T T') / 2)        part of the gradient, as in the source
    loss    = mean of cross entropy(logits, targets) and cross entropy(logits', targets')
    """
    if len(image) != len(text):
        raise ValueError(f"the loss compares pairs: {len(image)} images and {len(text)} captions")
    logits = text @ image.T / temperature
    targets = (temperature * (image @ image.T + text @ text.T) / 2).softmax(dim=-1)
    return ((soft_cross_entropy(logits, targets) + soft_cross_entropy(logits.T, targets.T)) / 2).mean()
