"""One modality from its encoder's features to the shared space.

Source: seed 001, section II; where attention attaches is ours, the seed being silent.
Shapes: B images or captions, T patches or tokens, F encoder width, W attention width, D shared width.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mmx.core.present import present
from mmx.methods.attention_clip.cross_attention import CrossAttention
from mmx.methods.attention_clip.settings import AttentionClipSettings
from mmx.nn.attention import Pattern, SelfAttentionBlock
from mmx.nn.feature_scaling import FeatureScaling
from mmx.nn.projection import PerceptronHead, ProjectionHead


@dataclass(frozen=True)
class States:
    """The learned query and the tokens, as the last block reads them."""

    tokens: Tensor
    """[B, 1 + T, W]."""
    mask: Tensor
    """[B, 1 + T] bool; the query is never hidden."""


@dataclass(frozen=True)
class BranchKind:
    """What sets the branch of one modality apart from that of the other."""

    in_width: int
    power: float
    dropout: float
    pattern: Pattern | None = None
    """Which tokens look at which; None where all look at all."""
    leaks: bool = False
    """Whether its tokens look at those of the other modality."""


class AttentionPool(nn.Module):
    """Reads a set of tokens through one learned query that takes part in their self-attention.

    [g, W dropout(LN(x_1)), .., W dropout(LN(x_T))] -> blocks -> LN(g)
    """

    def __init__(
        self,
        in_width: int,
        settings: AttentionClipSettings,
        pattern: Pattern | None = None,
        leaks: bool = False,
    ) -> None:
        super().__init__()
        width, heads, dropout = settings.attention_width, settings.heads, settings.attention_dropout
        self.token_dropout = settings.token_dropout
        self.token_norm = nn.LayerNorm(in_width)
        self.dropout = nn.Dropout(dropout)
        self.narrow = nn.Linear(in_width, width)
        self.query = nn.Parameter(0.02 * torch.randn(width))
        self.blocks = nn.ModuleList(
            SelfAttentionBlock(width, heads, dropout, pattern=pattern) for _ in range(settings.layers)
        )
        self.norm = nn.LayerNorm(width)
        self.leak = CrossAttention(width, heads, dropout) if leaks else None

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """[B, T, F], [B, T] bool -> [B, W]."""
        return self.pool(self.states(tokens, mask))

    def states(self, tokens: Tensor, mask: Tensor, other: States | None = None) -> States:
        """[B, T, F], [B, T] bool -> what the last block reads; `other` are tokens that leak into these."""
        if self.training and self.token_dropout:
            mask = mask & (torch.rand(mask.shape, device=mask.device) >= self.token_dropout)
        narrowed = self.narrow(self.dropout(self.token_norm(tokens)))
        query = self.query.to(narrowed.dtype).expand(tokens.shape[0], 1, -1)
        states = torch.cat([query, narrowed], dim=1)
        # The query is never hidden, so that every row of attention has something to look at.
        mask = torch.cat([mask.new_ones(mask.shape[0], 1), mask], dim=1)
        if self.leak is not None:
            states = self.leak(states, present(other).tokens, present(other).mask)
        for block in self.blocks[:-1]:
            states = block(states, mask)
        return States(states, mask)

    def pool(self, states: States) -> Tensor:
        """What the query gathers in the last block: [B, W]."""
        return self.norm(self.blocks[-1](states.tokens, states.mask, keep=1)[:, 0])


class Branch(nn.Module):
    """Projects pooled features, attended tokens, or their sum.

    none                     y = head(scaled x)
    attention                y = head(g)
    attention, pooled path   y = head(scaled x) + W g        W = 0 at the start
    """

    def __init__(self, kind: BranchKind, width: int, settings: AttentionClipSettings) -> None:
        super().__init__()
        self.dropout = nn.Dropout(kind.dropout)
        self.attend = None
        if settings.attends:
            self.attend = AttentionPool(kind.in_width, settings, kind.pattern, kind.leaks)
        self.scale = self.join = None
        projects = settings.projection != "none"
        if settings.reads_pooled and settings.standardize and projects:
            self.scale = FeatureScaling(kind.in_width, kind.power)
        if self.attend is not None and settings.pooled_path:
            self.join = nn.Linear(settings.attention_width, width)
            nn.init.zeros_(self.join.weight)
            nn.init.zeros_(self.join.bias)
        in_width = kind.in_width if settings.reads_pooled else settings.attention_width
        if projects:
            self.head = _head(in_width, width, settings)
        else:
            self.head = nn.Identity() if settings.reads_pooled else nn.Linear(in_width, width)

    def forward(self, pooled: Tensor, states: States | None) -> Tensor:
        """[B, F] and what the attention reads -> [B, D], not of unit length."""
        if self.attend is None:
            return self._project(pooled)
        attended = self.attend.pool(present(states))
        return self.head(attended) if self.join is None else self._project(pooled) + self.join(attended)

    def _project(self, pooled: Tensor) -> Tensor:
        scaled = pooled if self.scale is None else self.scale(pooled)
        return self.head(self.dropout(scaled))


def _head(in_width: int, width: int, settings: AttentionClipSettings) -> nn.Module:
    if settings.projection == "residual":
        return ProjectionHead(in_width, width, settings.dropout)
    return PerceptronHead(in_width, settings.hidden_width, width, settings.dropout)
