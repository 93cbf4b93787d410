"""Attention of which only a part is worked out: windows over a sequence or a grid, and the nearest keys.

Source: arXiv 2004.05150, sections 3.1 (window and global tokens); the window over a grid is its form in two
dimensions, the top-k form that of arXiv 1912.11637, section 3.
Shapes: B items, H heads, Q queries, K keys, G global tokens, L others in N chunks of C, W width of a head.

Windows are worked out chunk by chunk: the queries of a chunk with the keys of that chunk and of those beside
it, so that time and memory grow with K, not with its square. The first G tokens look at all and are seen by
all; a row for each query is never empty, since a global token is never hidden.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from mmx.nn.precision import at_least_float32

SCORES = 2**22
"""Scores that the top-k form holds at a time."""


@dataclass(frozen=True)
class Window:
    """Token i looks at token j where |i - j| <= half, and at the first token, which looks at all."""

    half: int
    dense_rows: int = 1

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, key_mask: Tensor, dropout: float) -> Tensor:
        """[B, H, K, W] three times, [B, K] bool -> [B, H, K, W]."""
        chunk = max(min(self.half, key.shape[2] - self.dense_rows), 1)
        reach = 1 if self.half else 0
        offset = _offsets(chunk, reach, query.device)
        return _in_chunks(query, key, value, key_mask, offset.abs() <= self.half, self.dense_rows, dropout)


@dataclass(frozen=True)
class GridWindow:
    """A cell of a grid looks at those at most `radius` rows and columns away, and at the first token."""

    radius: int
    aspect: float = 1.0
    """Width of the grid / its height."""
    dense_rows: int = 1

    def columns(self, cells: int) -> int:
        """Cells a row, of a grid of so many.

        Raises:
            ValueError: when they fill no grid of this aspect.
        """
        columns = max(round((cells * self.aspect) ** 0.5), 1)
        if cells % columns or abs(columns**2 / (cells * self.aspect) - 1) > 0.5:
            raise ValueError(f"{cells} cells fill no grid {self.aspect:.3g} times as wide as high")
        return columns

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, key_mask: Tensor, dropout: float) -> Tensor:
        """[B, H, K, W] three times, [B, K] bool -> [B, H, K, W]; cells go row by row."""
        columns = self.columns(key.shape[2] - self.dense_rows)
        place = torch.arange(columns, device=query.device)
        near = (place[:, None] - place[None, :]).abs() <= self.radius
        # a chunk is a row of the grid: in each of the rows about it the same columns are near
        allowed = near.repeat(1, 2 * self.radius + 1)
        return _in_chunks(query, key, value, key_mask, allowed, self.dense_rows, dropout)


@dataclass(frozen=True)
class TopK:
    """A query looks at the `number` keys that it agrees with most.

    Which these are is known once all scores are: what is spared is memory, not the product of the scores.
    """

    number: int
    dense_rows: int = 0

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, key_mask: Tensor, dropout: float) -> Tensor:
        """[B, H, Q, W], twice [B, H, K, W], [B, K] bool -> [B, H, Q, W]."""
        number = min(self.number, key.shape[2])
        items, heads, _, width = query.shape
        rows = max(SCORES // (items * heads * key.shape[2]), 1)
        gathered = []
        for some in query.split(rows, dim=2):
            scores = some @ key.transpose(-2, -1) / width**0.5
            found = scores.masked_fill(~key_mask[:, None, None, :], -torch.inf).topk(number, dim=-1)
            weights = functional.dropout(_shares(found.values), dropout)
            chosen = found.indices.flatten(2)[..., None].expand(-1, -1, -1, width)
            values = value.gather(2, chosen).unflatten(2, found.indices.shape[2:])
            gathered.append((weights.to(value.dtype)[..., None, :] @ values)[..., 0, :])
        return torch.cat(gathered, dim=2)


def _in_chunks(
    query: Tensor, key: Tensor, value: Tensor, key_mask: Tensor, allowed: Tensor, first: int, dropout: float
) -> Tensor:
    """[B, H, K, W] three times, [B, K], allowed [C, M C] for M chunks about each -> [B, H, K, W]."""
    whole = functional.scaled_dot_product_attention(
        query[:, :, :first], key, value, attn_mask=key_mask[:, None, None, :], dropout_p=dropout
    )
    chunk, seen = allowed.shape
    others = key.shape[2] - first
    spare, side = -others % chunk, (seen - chunk) // 2

    def around(tokens: Tensor) -> Tensor:
        """[B, H, K, W] -> [B, H, N, M C, W]: the tokens of each chunk and of those about it."""
        wide = functional.pad(tokens[:, :, first:], (0, 0, side, side + spare))
        return wide.unfold(2, seen, chunk).transpose(-2, -1)

    local = functional.pad(query[:, :, first:], (0, 0, 0, spare)).unflatten(2, (-1, chunk))
    there = functional.pad(key_mask[:, first:], (side, side + spare)).unfold(1, seen, chunk)
    agreement = local @ around(key).transpose(-2, -1)
    agreement = agreement.masked_fill(~(there[:, None, :, None] & allowed), -torch.inf)
    with_first = local @ key[:, :, None, :first].transpose(-2, -1)
    hidden = ~key_mask[:, None, None, None, :first]
    scores = torch.cat([with_first.masked_fill(hidden, -torch.inf), agreement], dim=-1)
    weights = functional.dropout(_shares(scores / query.shape[-1] ** 0.5), dropout).to(value.dtype)
    gathered = weights[..., first:] @ around(value) + weights[..., :first] @ value[:, :, None, :first]
    return torch.cat([whole, gathered.flatten(2, 3)[:, :, :others]], dim=2)


def _offsets(chunk: int, reach: int, device: torch.device) -> Tensor:
    """[C, (2 reach + 1) C]: how far behind a query of a chunk each key stands."""
    query = torch.arange(chunk, device=device)
    return torch.arange(-reach * chunk, (reach + 1) * chunk, device=device)[None, :] - query[:, None]


def _shares(scores: Tensor) -> Tensor:
    """[.., K] -> weights that sum to 1, at least float32."""
    return at_least_float32(scores).softmax(dim=-1)
