"""The width of numbers where a sum or a softmax needs it.

Source: ours.
"""

import torch
from torch import Tensor

SHORTEST = 1e-12


def at_least_float32(values: Tensor) -> Tensor:
    """Half precision as float32; anything wider as it is."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def lengths(vectors: Tensor) -> Tensor:
    """[B, D] -> [B, 1]: what `functional.normalize` divides each vector by."""
    return vectors.norm(dim=-1, keepdim=True).clamp(min=SHORTEST)
