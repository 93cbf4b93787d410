"""Scores of all pairs in blocks of bounded size, whatever the number of images and captions.

Source: ours.
Shapes: G images, Q captions, R regions, L tokens.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

NUMBERS = 2**24
"""Token-region pairs that are held at a time."""

Kept = Mapping[str, Tensor]
ScoreBlock = Callable[[Kept, Kept], Tensor]
"""(what is kept of G images, of Q captions) -> [Q, G]."""


def score_pairs(score: ScoreBlock, images: Kept, texts: Kept, numbers: int = NUMBERS) -> Tensor:
    """What is kept of G images [G, R, ..] and of Q captions [Q, L, ..] -> [Q, G] float32.

    In training a block is worked out again for its gradient, where there are several.
    """
    regions, tokens = (len(mask[0]) if len(mask) else 0 for mask in (images["mask"], texts["mask"]))
    at_once = max(numbers // max(regions * tokens, 1), 1)
    image_count, text_count = len(images["mask"]), len(texts["mask"])
    columns = max(min(image_count, at_once), 1)
    rows = max(min(text_count, at_once // columns), 1)
    whole = columns >= image_count and rows >= text_count
    block = score if whole or not torch.is_grad_enabled() else _worked_out_again(score)
    parts = [
        torch.cat([block(some, captions) for some in _split(images, columns)], dim=1)
        for captions in _split(texts, rows)
    ]
    return torch.cat(parts)


def _split(kept: Kept, size: int) -> list[dict[str, Tensor]]:
    count = max(len(kept["mask"]), 1)
    return [
        {name: value[begin : begin + size] for name, value in kept.items()} for begin in range(0, count, size)
    ]


def _worked_out_again(score: ScoreBlock) -> ScoreBlock:
    def block(images: Kept, texts: Kept) -> Tensor:
        return checkpoint(score, images, texts, use_reentrant=False)

    return block
