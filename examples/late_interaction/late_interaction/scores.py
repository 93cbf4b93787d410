"""Late interaction as a function of tensors alone."""

import torch
from torch import Tensor


def late_scores(patches: Tensor, patch_mask: Tensor, tokens: Tensor, token_mask: Tensor) -> Tensor:
    """[G, R, D], [G, R] bool, [Q, L, D], [Q, L] bool -> [Q, G]; 0 where a side has no part.

    Half the mean over tokens of the best patch, and half the mean over patches of the best token.
    """
    match = torch.einsum("grd,qld->qglr", patches, tokens)
    by_token = match.masked_fill(~patch_mask[None, :, None, :], -torch.inf).amax(dim=3)
    by_patch = match.masked_fill(~token_mask[:, None, :, None], -torch.inf).amax(dim=2)
    score = (masked_mean(by_token, token_mask[:, None]) + masked_mean(by_patch, patch_mask[None])) / 2
    return score.where(token_mask.any(dim=1)[:, None] & patch_mask.any(dim=1)[None], 0.0)


def late_parts(patches: Tensor, patch_mask: Tensor, tokens: Tensor, token_mask: Tensor) -> Tensor:
    """[C, R, D], [C, R] bool, [C, L, D], [C, L] bool -> [C, L, R], caption i with image i; 0 on padding.

    Their sum over L and R is the pair's late score: each best match stands where it was found.
    """
    there = token_mask[:, :, None] & patch_mask[:, None, :]
    match = torch.einsum("crd,cld->clr", patches, tokens).masked_fill(~there, -torch.inf)
    of_token = torch.zeros_like(match).scatter(2, match.argmax(dim=2, keepdim=True), 0.5)
    of_patch = torch.zeros_like(match).scatter(1, match.argmax(dim=1, keepdim=True), 0.5)
    of_token = of_token / token_mask.sum(dim=1).clamp(min=1)[:, None, None]
    of_patch = of_patch / patch_mask.sum(dim=1).clamp(min=1)[:, None, None]
    return (of_token + of_patch) * match.where(there, 0.0)


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """[.., N] and a mask that broadcasts to it -> [..], the mean of what is there; 0 of nothing."""
    return values.where(mask, 0.0).sum(dim=-1) / mask.sum(dim=-1).clamp(min=1)
