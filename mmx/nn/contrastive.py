"""Contrastive losses over a table of images and captions.

Source: arXiv 2103.00020, section 2.3, with a target spread evenly over several positives.
Shapes: B images, C captions.
"""

import math
from typing import Any

import torch
from torch import Tensor


def scale_of(log_scale: Tensor, least_temperature: float, training: bool) -> Tensor:
    """A logarithm -> 1 / temperature; in training one that is learned is first put back within its limit."""
    if training and log_scale.requires_grad:
        # In place, so that the gradient stays alive at the limit.
        log_scale.data.clamp_(max=-math.log(least_temperature))
    return log_scale.exp()


def positive_pairs(image_group: Tensor, text_group: Tensor) -> Tensor:
    """[B], [C] int64 -> [B, C] bool: True where image and caption are of the same group."""
    return image_group[:, None] == text_group[None, :]


def contrastive_loss(logits: Tensor, positive: Tensor) -> Tensor:
    """[B, C] scores / temperature, [B, C] bool -> scalar >= 0 in nats: mean of both directions.

        loss(row) = - sum_j target_j log softmax_j(row)        target_j = 1 / positives of the row

    A row without a positive asks nothing of anybody and is left out.
    """
    # log softmax_j = logit_j - log sum exp: but for those sums, either direction needs positive scores alone.
    right, count = torch.where(positive, logits, 0.0), positive.to(logits.dtype)
    of_rows, of_columns = _LogSumExps.apply(logits)
    rows = _one_way(of_rows, right.sum(dim=1), count.sum(dim=1))
    return (rows + _one_way(of_columns, right.sum(dim=0), count.sum(dim=0))) / 2


class _LogSumExps(torch.autograd.Function):
    """[B, C] -> log sum exp of each row [B] and column [C]; their exponentials serve the gradient too."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor) -> tuple[Tensor, Tensor]:
        parts = []
        for dim in (1, 0):
            most = logits.amax(dim=dim, keepdim=True)
            powers = (logits - most).exp_()
            total = powers.sum(dim=dim, keepdim=True)
            parts.append((powers, total, (total.log() + most).squeeze(dim)))
        ctx.save_for_backward(*(kept for part in parts for kept in part[:2]))
        return parts[0][2], parts[1][2]

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, of_rows: Tensor, of_columns: Tensor) -> Tensor:
        rows, row_totals, columns, column_totals = ctx.saved_tensors
        found = rows * (of_rows[:, None] / row_totals)
        return found.addcmul_(columns, of_columns / column_totals)


def _one_way(log_sums: Tensor, right: Tensor, count: Tensor) -> Tensor:
    losses = log_sums - right / count.clamp(min=1)
    return losses.where(count > 0, 0.0).sum() / torch.clamp((count > 0).sum(), min=1)
