"""Codes: vectors rounded to 8 bits, a quarter of their size, through which a large gallery is scanned.

v ~ step c,  c in -127..127,  step = max |v| / 127, one a vector
"""

from dataclasses import dataclass

import torch
from torch import Tensor

LARGEST = 127
ROWS = 65_536


@dataclass(frozen=True)
class Codes:
    """The codes of N vectors."""

    codes: Tensor
    """[N, D] int8."""
    steps: Tensor
    """[N] float32, what 1 of a code stands for."""


def round_off(vectors: Tensor) -> Codes:
    """[N, D] float32 -> their codes."""
    codes = torch.empty(vectors.shape, dtype=torch.int8)
    steps = torch.empty(len(vectors))
    for start in range(0, len(vectors), ROWS):
        part = vectors[start : start + ROWS].float()
        step = part.abs().amax(dim=1).clamp_min(torch.finfo(torch.float32).tiny) / LARGEST
        steps[start : start + ROWS] = step
        codes[start : start + ROWS] = (part / step[:, None]).round().to(torch.int8)
    return Codes(codes, steps)
