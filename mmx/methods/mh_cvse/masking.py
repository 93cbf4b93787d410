"""Means and softmaxes over the regions or words that are there.

Source: ours.
Shapes: B items, T regions or words, D width.
"""

import torch
from torch import Tensor


def seen(mask: Tensor) -> Tensor:
    """[B, T] bool -> the same, but True throughout for an item that has nothing: its empty places show."""
    return mask | ~mask.any(dim=-1, keepdim=True)


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """[B, T, D], [B, T] bool -> [B, D]; each item needs something that is there."""
    shares = mask.to(values.dtype)
    return weighted_sum(values, shares / shares.sum(dim=-1, keepdim=True))


def masked_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """[B, T], [B, T] bool -> [B, T]: sums to 1 over what is there, exactly 0 on padding."""
    return scores.masked_fill(~mask, -torch.inf).softmax(dim=-1)


def weighted_sum(values: Tensor, weights: Tensor) -> Tensor:
    """[B, T, D], [B, T] -> [B, D]."""
    return torch.bmm(weights.to(values.dtype)[:, None], values)[:, 0]


def hide(mask: Tensor, share: float) -> Tensor:
    """[B, T] bool -> the same with a random share of what is there hidden, though never all of an item."""
    kept = mask & (torch.rand(mask.shape, device=mask.device) >= share)
    return torch.where(kept.any(dim=-1, keepdim=True), kept, mask)
