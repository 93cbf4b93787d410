"""Telling the identities of train apart, and matching the distribution of similarities.

Source: arXiv 2303.12501 (IRRA), sections 3.3 and 3.4.
Shapes: B images, C captions, X either, K identities, D embedding width.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmx.core.assets import NO_ASSETS, Assets, AssetSource
from mmx.core.errors import UsageError
from mmx.methods.attention_clip.settings import AttentionClipSettings

DEVIATION = 0.001
SMALL = 1e-8


def count_identities(settings: AttentionClipSettings, source: AssetSource) -> Assets:
    """The numbers of the identities of train, where they are to be told apart.

    Raises:
        UsageError: when the records have none.
    """
    if not settings.identity_loss:
        return NO_ASSETS
    numbers = sorted({record.identity for record in source.records if record.identity is not None})
    if not numbers:
        raise UsageError(
            f"identity_loss={settings.identity_loss} tells identities apart, and the training records have "
            "none. Set identity_loss=0, or prepare data with identities."
        )
    return Assets(tensors={"identities": torch.tensor(numbers)})


def identity_numbers(assets: Assets) -> Tensor:
    """[K] int64, rising; empty where they were not counted."""
    return assets.tensors.get("identities", torch.zeros(0, dtype=torch.int64))


class IdentityHead(nn.Module):
    """One classifier for the images and the captions of an identity."""

    def __init__(self, width: int, numbers: Tensor) -> None:
        super().__init__()
        self.register_buffer("numbers", numbers)
        self.classify = nn.Linear(width, len(numbers))
        nn.init.normal_(self.classify.weight, std=DEVIATION)
        nn.init.zeros_(self.classify.bias)

    def forward(self, embedding: Tensor, group: Tensor) -> Tensor:
        """[X, D], [X] int64 -> mean cross entropy in nats; items of no known identity are left out."""
        label = torch.searchsorted(self.numbers, group).clamp(max=len(self.numbers) - 1)
        label = label.masked_fill(self.numbers[label] != group, -100)
        total = functional.cross_entropy(self.classify(embedding), label, reduction="sum")
        return total / (label >= 0).sum().clamp(min=1)


def sdm_loss(image: Tensor, text: Tensor, scale: Tensor, positive: Tensor) -> Tensor:
    """[B, D], [C, D], 1 / temperature, [B, C] bool -> scalar in nats: both ways the mean over rows of

    KL(p || q),   p_ij = softmax_j(cosine_ij / temperature),   q_ij = positive_ij / positives of i
    """
    logits = scale * functional.normalize(image, dim=-1) @ functional.normalize(text, dim=-1).T
    return _divergence(logits, positive) + _divergence(logits.T, positive.T)


def _divergence(logits: Tensor, positive: Tensor) -> Tensor:
    found = logits.log_softmax(dim=-1)
    target = positive / positive.sum(dim=-1, keepdim=True).clamp(min=1)
    return (found.exp() * (found - (target + SMALL).log())).sum(dim=-1).mean()
