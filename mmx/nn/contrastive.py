"""Contrastive losses over a table of images and captions.

Source: arXiv 2103.00020, section 2.3, with a target spread evenly over several positives.
Shapes: B images, C captions.
"""

import torch
from torch import Tensor


def positive_pairs(image_group: Tensor, text_group: Tensor) -> Tensor:
    """[B], [C] int64 -> [B, C] bool: True where image and caption are of the same group."""
    return image_group[:, None] == text_group[None, :]


def contrastive_loss(logits: Tensor, positive: Tensor) -> Tensor:
    """[B, C] scores / temperature, [B, C] bool -> scalar >= 0 in nats: mean of both directions.

        loss(row) = - sum_j target_j log softmax_j(row)        target_j = 1 / positives of the row

    A row without a positive asks nothing of anybody and is left out.
    """
    return (_one_way(logits, positive) + _one_way(logits.T, positive.T)) / 2


def soft_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """[B, C], [B, C] weights -> [B] nats: - sum_j target_j log softmax_j(logits)."""
    return -(targets * logits.log_softmax(dim=-1)).sum(dim=-1)


def _one_way(logits: Tensor, positive: Tensor) -> Tensor:
    count = positive.sum(dim=-1)
    targets = positive / count.clamp(min=1)[:, None]
    asked = (count > 0).to(logits.dtype)
    losses = soft_cross_entropy(logits, targets.to(logits.dtype))
    return (losses * asked).sum() / torch.clamp(asked.sum(), min=1)
