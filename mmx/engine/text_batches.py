"""Captions of like length together: a batch is then nearly free of padding.

Shapes: C captions, L tokens.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor


def sorted_batches(tokens: Sequence[Sequence[int]], size: int) -> Iterator[list[int]]:
    """Places of the captions, shortest first, `size` at a time; equal lengths in their own order."""
    order = sorted(range(len(tokens)), key=lambda place: len(tokens[place]))
    for begin in range(0, len(order), size):
        yield order[begin : begin + size]


def pad_tokens(tokens: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """token_ids [C, L] int64 padded with 0, and token_mask [C, L] bool; L is the longest of them."""
    longest = max(len(ids) for ids in tokens)
    token_ids = torch.tensor([[*ids, *[0] * (longest - len(ids))] for ids in tokens])
    lengths = torch.tensor([len(ids) for ids in tokens])
    return token_ids, torch.arange(longest) < lengths[:, None]
