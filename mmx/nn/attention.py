"""Multi-head attention over padded sequences, and the pre-norm transformer block made of it.

Source: arXiv 1706.03762, section 3.2; the norm before each sublayer is that of arXiv 2002.04745.
Shapes: B items, Q queries, K keys, D width, H heads, W width of a head.
"""

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmx.nn.precision import at_least_float32

SHORT = 64
"""On a CPU, up to so many keys are attended to by plain products: both ways together they take 0.9 of the
fused kernel's time in float32, and 0.3 of it in bfloat16, at 36 keys.
"""
EXPANSION = 4
"""How many times as wide a block is between its two last layers."""


class Pattern(Protocol):
    """Which keys a query looks at."""

    @property
    def dense_rows(self) -> int:
        """So many first queries look at every key."""

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, key_mask: Tensor, dropout: float) -> Tensor:
        """[B, H, K, W] three times, [B, K] bool -> [B, H, K, W]; weights of what is not looked at are 0."""


class MultiHeadAttention(nn.Module):
    """Lets each query gather values from the keys that it agrees with.

    weights = softmax_k(q . k / sqrt(D / H))        sums to 1 over the keys there are, exactly 0 on padding

    With a pattern, over those of them that it lets a query look at; queries are then the keys themselves.
    """

    def __init__(self, width: int, heads: int, dropout: float = 0.0, pattern: Pattern | None = None) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width} cannot be shared evenly by {heads} heads")
        self.heads = heads
        self.dropout, self.pattern = dropout, pattern
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)

    def forward(self, queries: Tensor, keys: Tensor, key_mask: Tensor) -> Tensor:
        """[B, Q, D], [B, K, D], [B, K] bool -> [B, Q, D]; each item needs one valid key."""
        return self.output(self.gather(self.query(queries), self.key(keys), self.value(keys), key_mask))

    def gather(self, query: Tensor, key: Tensor, value: Tensor, key_mask: Tensor) -> Tensor:
        """What those three layers gave: [B, Q, D], twice [B, K, D], and [B, K] bool -> [B, Q, D]."""
        query, key, value = self._split(query), self._split(key), self._split(value)
        dropout = self.dropout if self.training else 0.0
        if self.pattern is not None and query.shape[2] > self.pattern.dense_rows:
            gathered = self.pattern(query, key, value, key_mask, dropout)
        elif query.device.type == "cpu" and key.shape[2] <= SHORT:
            weights = functional.dropout(_look(query, key, key_mask), dropout)
            gathered = weights.to(value.dtype) @ value
        else:
            gathered = functional.scaled_dot_product_attention(
                query, key, value, attn_mask=key_mask[:, None, None, :], dropout_p=dropout
            )
        return gathered.transpose(1, 2).flatten(2)

    def compare(self, query: Tensor, key: Tensor, key_mask: Tensor) -> Tensor:
        """What two of them gave: [B, Q, D], [B, K, D], and [B, K] bool -> [B, H, Q, K]: how much each head of
        a query looks at a key.
        """
        return _look(self._split(query), self._split(key), key_mask)

    def _split(self, values: Tensor) -> Tensor:
        """[B, K, D] -> [B, H, K, D / H]."""
        return values.unflatten(-1, (self.heads, -1)).transpose(1, 2)


def _look(query: Tensor, key: Tensor, key_mask: Tensor) -> Tensor:
    """[B, H, Q, W], [B, H, K, W], [B, K] bool -> weights [B, H, Q, K], at least float32."""
    agreement = at_least_float32(query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5)
    return agreement.masked_fill(~key_mask[:, None, None, :], -torch.inf).softmax(dim=-1)


class SelfAttentionBlock(nn.Module):
    """A pre-norm transformer block.

    y = x + attention(LN(x))
    z = y + W2 GELU(W1 LN(y))
    """

    def __init__(
        self,
        width: int,
        heads: int,
        dropout: float = 0.0,
        pattern: Pattern | None = None,
    ) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = MultiHeadAttention(width, heads, dropout, pattern)
        self.feedforward_norm = nn.LayerNorm(width)
        self.widen = nn.Linear(width, EXPANSION * width)
        self.narrow = nn.Linear(EXPANSION * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, mask: Tensor, keep: int | None = None) -> Tensor:
        """[B, K, D], [B, K] bool -> [B, K, D]; what stands on padding is of no meaning.

        With `keep`, only the first so many places are worked out: [B, keep, D], equal numbers for less work.
        """
        normed = self.attention_norm(tokens)
        tokens = tokens[:, :keep] + self.dropout(self.attention(normed[:, :keep], normed, mask))
        widened = functional.gelu(self.widen(self.feedforward_norm(tokens)))
        return tokens + self.dropout(self.narrow(widened))
