"""Exchange: tokens that the class token hardly looks at take the mean of the other modality.

Source: seed 002; the gated form is ours: the same exchange, with a gradient to which tokens are chosen.
Shapes: B posts, K tokens without the class token, D width.
"""

import torch
from torch import Tensor

ROUNDING = 1e-6
"""Keeps floor(0.1 * 30) at 3 where floating point says 2.9999."""


def count_exchanged(tokens: Tensor, theta: float, rule: str) -> Tensor:
    """[B] int64, how many tokens there are -> [B] how many are exchanged: floor(theta n), or by the quantile
    of the code ceil(theta (n - 1)).
    """
    if rule == "quantile":
        return torch.ceil(theta * (tokens - 1).clamp_min(0) - ROUNDING).long()
    return torch.floor(theta * tokens + ROUNDING).long()


def least_attended(
    attention: Tensor, mask: Tensor, theta: float, rule: str = "floor"
) -> tuple[Tensor, Tensor]:
    """[B, K] how much the class token looks at each, [B, K] bool -> the places of the least attended ones
    [B, M] int64, and which of these are exchanged [B, M] bool: M are those of a post without padding.

    Of equal ones the first; padding is never exchanged.
    """
    most = int(count_exchanged(torch.tensor(mask.shape[1]), theta, rule))
    count = count_exchanged(mask.sum(1), theta, rule)
    places = attention.masked_fill(~mask, torch.inf).argsort(dim=1, stable=True)[:, :most]
    return places, torch.arange(most, device=mask.device) < count[:, None]


def chosen_of(places: Tensor, there: Tensor, mask: Tensor) -> Tensor:
    """[B, M] int64, [B, M] bool, [B, K] bool -> [B, K] bool: the places that are exchanged."""
    return torch.zeros_like(mask).scatter(1, places, there)


def mean_of(tokens: Tensor, mask: Tensor) -> Tensor:
    """[B, K, D], [B, K] bool with one valid each -> [B, D]."""
    weights = mask.to(tokens.dtype)
    return (weights[:, None] @ tokens).squeeze(1) / weights.sum(1, keepdim=True)


def exchange(tokens: Tensor, chosen: Tensor, mean: Tensor) -> Tensor:
    """[B, K, D], [B, K] bool, the other modality's mean [B, D] -> the chosen ones replaced by it."""
    return torch.where(chosen[..., None], mean[:, None], tokens)


def add_exchange(tokens: Tensor, places: Tensor, there: Tensor, mean: Tensor) -> Tensor:
    """[B, K, D], [B, M] int64, [B, M] bool, the other modality's mean [B, D] -> added in place to the tokens
    at these places, and no other token is read.
    """
    posts = torch.arange(len(tokens), device=places.device)[:, None]
    # Whole rows, and one of zeros, are copied five times as fast as torch.where chooses number by number.
    with_zeros = torch.cat([mean, mean.new_zeros(1, mean.shape[1])]).to(tokens.dtype)
    rows = torch.where(there, posts, len(mean)).flatten()
    added = with_zeros.index_select(0, rows).unflatten(0, places.shape)
    return tokens.index_put_((posts, places), added, accumulate=True)


def gated_exchange(tokens: Tensor, chosen: Tensor, mean: Tensor, attention: Tensor, mask: Tensor) -> Tensor:
    """The same numbers as `exchange`, with a gradient to the attention that chose.

    x_j <- (1 - g_j) x_j + g_j mean        g_j = 1 where chosen; its gradient is that of
    sigmoid(n (t - a_j)), n tokens, t halfway between the most attended of the chosen and the next

    [B, K, D], [B, K] bool, [B, D], [B, K], [B, K] bool -> [B, K, D].
    """
    last = attention.masked_fill(~chosen, -torch.inf).amax(1, keepdim=True)
    following = attention.masked_fill(chosen | ~mask, torch.inf).amin(1, keepdim=True)
    threshold = ((last + following) / 2).detach()
    settled = chosen.any(1, keepdim=True) & threshold.isfinite()
    soft = torch.sigmoid(mask.sum(1, keepdim=True) * (threshold.nan_to_num(0.0, 0.0, 0.0) - attention))
    soft = soft * (mask & settled)
    gate = (chosen + soft - soft.detach()).to(tokens.dtype)[..., None]
    swapped = exchange(tokens, chosen, mean)
    # the first term has the value, the second only the gradient of the gate
    return swapped + (gate - gate.detach()) * (mean[:, None] - tokens).detach()
