"""Right pairs of a batch and hard wrong ones, for a loss that tells them apart.

Source: arXiv 2107.07651 (ALBEF), section 3.2.
Shapes: B images, C captions, P pairs.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Pairs:
    """Some images and captions side by side."""

    image: Tensor
    """[P] int64, rows of the batch's images."""
    text: Tensor
    """[P] int64, rows of its captions."""
    match: Tensor
    """[P] float, 1 for right pairs."""


def draw_pairs(logits: Tensor, positive: Tensor) -> Pairs:
    """[B, C] cosine / temperature, [B, C] bool -> for each image a right caption, a wrong caption for the
    image, and a wrong image for the caption; the wrong ones drawn by softmax of the logits.

    An image without a right or without a wrong caption is left out.
    """
    image = (positive.any(1) & ~positive.all(1)).nonzero()[:, 0]
    if not len(image):
        return Pairs(image, image, logits.new_zeros(0))
    text = positive[image].float().multinomial(1)[:, 0]
    wrong_text = _draw(logits[image], positive[image])
    right = image, text, torch.ones_like(text, dtype=logits.dtype)
    with_wrong_text = image, wrong_text, torch.zeros_like(right[2])
    asked = (~positive[:, text]).any(0)
    wrong_image = _draw(logits[:, text[asked]].T, positive[:, text[asked]].T)
    with_wrong_image = wrong_image, text[asked], torch.zeros_like(right[2][asked])
    parts = zip(right, with_wrong_text, with_wrong_image, strict=True)
    return Pairs(*(torch.cat(part) for part in parts))


def _draw(logits: Tensor, positive: Tensor) -> Tensor:
    """[X, Y], [X, Y] -> [X]: one of each row that is not positive."""
    # A floor of chance, since what is far from everything drawn must not have a row of nothing but zeros.
    chance = logits.masked_fill(positive, -torch.inf).softmax(dim=-1) + 1e-6
    return chance.masked_fill(positive, 0.0).multinomial(1)[:, 0]
