"""Means, maxima and softmaxes that see nothing of what is padded.

Masks are bool, True where there is something, and broadcast against the values. Where a mask is False all
along `dim`, the mean, the maximum and every weight is 0.
"""

import torch
from torch import Tensor


def masked_mean(values: Tensor, mask: Tensor, dim: int) -> Tensor:
    """Mean of `values` along `dim` over the places where `mask` holds."""
    count = mask.expand_as(values).sum(dim).clamp(min=1)
    return values.masked_fill(~mask, 0.0).sum(dim) / count


def masked_max(values: Tensor, mask: Tensor, dim: int) -> Tensor:
    """Largest of `values` along `dim` over the places where `mask` holds."""
    largest = values.masked_fill(~mask, -torch.inf).amax(dim)
    return largest.masked_fill(~mask.expand_as(values).any(dim), 0.0)


def masked_softmax(scores: Tensor, mask: Tensor, dim: int) -> Tensor:
    """Softmax of `scores` along `dim`: sums to 1 where `mask` holds and is exactly 0 elsewhere."""
    weights = scores.masked_fill(~mask, -torch.inf).softmax(dim)
    # A row without any valid place is 0/0; it gets no weight at all.
    return weights.masked_fill(~mask, 0.0)
