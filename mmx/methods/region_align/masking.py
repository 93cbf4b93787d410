"""Which tokens take part, and means and softmaxes over what is there.

Source: ours.
Shapes: C captions, L tokens, R regions.
"""

import torch
from torch import Tensor
from torch.nn import functional


def taking_part(mask: Tensor, skip_first: bool, skip_last: bool) -> Tensor:
    """[C, L] bool, from the left -> the same without the first or the last token of each caption."""
    if skip_last:
        mask = mask & functional.pad(mask[:, 1:], (0, 1))
    if skip_first:
        mask = mask & (torch.arange(mask.shape[1], device=mask.device) > 0)
    return mask


def region_shares(scores: Tensor, mask: Tensor, dim: int = -1) -> Tensor:
    """[.., R, ..], mask of the same or a broadcastable shape -> [.., R, ..]: a softmax over R, the dimension
    `dim`, that is exactly 0 on padding, and everywhere where there is no region.
    """
    if scores.device.type == "cpu" and bool(mask.all()):  # elsewhere asking is waiting
        return scores.softmax(dim=dim)
    least = torch.finfo(scores.dtype).min
    return scores.masked_fill(~mask, least).softmax(dim=dim) * mask


def token_shares(mask: Tensor) -> Tensor:
    """[C, L] bool -> [C, L] float: 1 / M of each token that takes part, 0 of the others."""
    return mask / mask.sum(dim=-1, keepdim=True).clamp(min=1)


def token_mean(values: Tensor, mask: Tensor) -> Tensor:
    """[.., L], mask of a broadcastable shape -> [..]: 0 where no token takes part."""
    kept = torch.where(mask, values, 0.0)
    return kept.sum(dim=-1) / mask.sum(dim=-1).clamp(min=1)
