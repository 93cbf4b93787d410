"""One modality from its encoder's features to the shared space.

Source: seed 001, section II; where attention attaches is ours, the seed being silent.
Shapes: B images or captions, T patches or tokens, F encoder width, D shared width.
"""

import torch
from torch import Tensor, nn

from mmx.methods.attention_clip.settings import AttentionClipSettings
from mmx.nn.attention import SelfAttentionBlock
from mmx.nn.feature_scaling import FeatureScaling
from mmx.nn.projection import PerceptronHead, ProjectionHead


class AttentionPool(nn.Module):
    """Reads a set of tokens through one learned query that takes part in their self-attention.

    [g, W dropout(LN(x_1)), .., W dropout(LN(x_T))] -> blocks -> LN(g)
    """

    def __init__(self, in_width: int, settings: AttentionClipSettings) -> None:
        super().__init__()
        width = settings.attention_width
        self.token_dropout = settings.token_dropout
        self.token_norm = nn.LayerNorm(in_width)
        self.dropout = nn.Dropout(settings.attention_dropout)
        self.narrow = nn.Linear(in_width, width)
        self.query = nn.Parameter(0.02 * torch.randn(width))
        self.blocks = nn.ModuleList(
            SelfAttentionBlock(width, settings.heads, settings.attention_dropout)
            for _ in range(settings.layers)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """[B, T, F], [B, T] bool -> [B, attention width]."""
        if self.training and self.token_dropout:
            mask = mask & (torch.rand(mask.shape, device=mask.device) >= self.token_dropout)
        narrowed = self.narrow(self.dropout(self.token_norm(tokens)))
        query = self.query.to(narrowed.dtype).expand(len(tokens), 1, -1)
        states = torch.cat([query, narrowed], dim=1)
        # The query is never hidden, so that every row of attention has something to look at.
        mask = torch.cat([mask.new_ones(len(mask), 1), mask], dim=1)
        for block in self.blocks[:-1]:
            states = block(states, mask)
        return self.norm(self.blocks[-1](states, mask, keep=1)[:, 0])


class Branch(nn.Module):
    """Projects pooled features, attended tokens, or their sum.

    none                 y = head(scaled x)
    self                 y = head(g)
    self, pooled path    y = head(scaled x) + W g        W = 0 at the start
    """

    def __init__(
        self, in_width: int, power: float, input_dropout: float, settings: AttentionClipSettings
    ) -> None:
        super().__init__()
        self.dropout = nn.Dropout(input_dropout)
        self.attend = AttentionPool(in_width, settings) if settings.attention == "self" else None
        self.scale = self.join = None
        if settings.reads_pooled and settings.standardize:
            self.scale = FeatureScaling(in_width, power)
        if self.attend is not None and settings.pooled_path:
            self.join = nn.Linear(settings.attention_width, settings.width)
            nn.init.zeros_(self.join.weight)
            nn.init.zeros_(self.join.bias)
        self.head = _head(in_width if settings.reads_pooled else settings.attention_width, settings)

    def forward(self, pooled: Tensor | None, tokens: Tensor | None, mask: Tensor | None) -> Tensor:
        """[B, F], [B, T, F], [B, T] bool -> [B, D], not of unit length."""
        if self.attend is None:
            return self._project(pooled)
        attended = self.attend(tokens, mask)
        return self.head(attended) if self.join is None else self._project(pooled) + self.join(attended)

    def _project(self, pooled: Tensor) -> Tensor:
        scaled = pooled if self.scale is None else self.scale(pooled)
        return self.head(self.dropout(scaled))


def _head(in_width: int, settings: AttentionClipSettings) -> nn.Module:
    if settings.projection == "residual":
        return ProjectionHead(in_width, settings.width, settings.dropout)
    return PerceptronHead(in_width, settings.hidden_width, settings.width, settings.dropout)
