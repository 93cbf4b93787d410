"""Attention from the tokens of one modality to those of the other, and what judges a pair by it.

Source: arXiv 2107.07651, section 3.1 (ALBEF's multimodal encoder); seed 001 names cross-attention and says no
more of it.
Shapes: P pairs, Q captions, G images, L tokens, R patches, both with a learned query before them, W width.
"""

import torch
from torch import Tensor, nn

from mmx.nn.attention import MultiHeadAttention, SelfAttentionBlock


class CrossAttention(nn.Module):
    """Lets tokens take in what they look at.

    y = x + dropout(attention(LN(x), LN(seen)))
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.seen_norm = nn.LayerNorm(width)
        self.attention = MultiHeadAttention(width, heads, dropout)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, seen: Tensor, seen_mask: Tensor) -> Tensor:
        """[P, L, W], [P, R, W], [P, R] bool -> [P, L, W]."""
        gathered = self.attention(self.norm(tokens), self.seen_norm(seen), seen_mask)
        return tokens + self.dropout(gathered)


class PairEncoder(nn.Module):
    """Reads a caption before a picture, and says how well the two match.

    y = x + attention(LN(x), LN(patches)), through self-attention blocks, LN
    logit = w GELU(W y_0)        y_0 of the learned query; w = 0 at the start: nothing is said of any pair
    """

    def __init__(self, width: int, heads: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.cross = CrossAttention(width, heads, dropout)
        self.blocks = nn.ModuleList(SelfAttentionBlock(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.judge = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, 1, bias=False))
        nn.init.zeros_(self.judge[-1].weight)

    def forward(self, tokens: Tensor, mask: Tensor, seen: Tensor, seen_mask: Tensor) -> Tensor:
        """[P, L, W], [P, L], [P, R, W], [P, R] -> logits [P]."""
        return self._judge(self.cross(tokens, seen, seen_mask), mask)

    def read(self, tokens: Tensor, mask: Tensor, seen: Tensor, seen_mask: Tensor) -> Tensor:
        """[P, L, W], [P, L], [P, R, W], [P, R] -> the tokens before their pictures [P, L, W]."""
        tokens = self.cross(tokens, seen, seen_mask)
        for block in self.blocks:
            tokens = block(tokens, mask)
        return self.norm(tokens)

    def table(self, tokens: Tensor, mask: Tensor, seen: Tensor, seen_mask: Tensor) -> Tensor:
        """[Q, L, W], [Q, L], [G, R, W], [G, R] -> logits of every caption with every image [Q, G]."""
        attention, seen = self.cross.attention, self.cross.seen_norm(seen)
        query = attention.query(self.cross.norm(tokens))
        key, value = attention.key(seen), attention.value(seen)
        logits = []
        for image in range(len(seen)):
            # What is known of a caption or an image alone is worked out once, not once a pair.
            there, taken = (part[image].expand(len(tokens), -1, -1) for part in (key, value))
            hidden = seen_mask[image].expand(len(tokens), -1)
            gathered = attention.output(attention.gather(query, there, taken, hidden))
            logits.append(self._judge(tokens + gathered, mask))
        return torch.stack(logits, dim=1)

    def is_silent(self) -> bool:
        """Whether it has learned nothing yet and says the same of every pair."""
        return not self.judge[-1].weight.any()

    def _judge(self, tokens: Tensor, mask: Tensor) -> Tensor:
        for block in self.blocks[:-1]:
            tokens = block(tokens, mask)
        first = self.blocks[-1](tokens, mask, keep=1)[:, 0]
        return self.judge(self.norm(first))[:, 0]
