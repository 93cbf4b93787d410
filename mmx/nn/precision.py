"""Numbers as wide as a sum, a softmax or a length needs them, and vectors of unit length.

Source: ours.
"""

import torch
from torch import Tensor
from torch.nn import functional

SHORTEST = 1e-12


def at_least_float32(values: Tensor) -> Tensor:
    """Half precision as float32; anything wider as it is."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def unit(vectors: Tensor) -> Tensor:
    """[.., D] -> the same directions at length 1, at least float32."""
    return functional.normalize(at_least_float32(vectors), dim=-1)


def lengths(vectors: Tensor) -> Tensor:
    """[B, D] -> [B, 1]: what `functional.normalize` divides each vector by."""
    return vectors.norm(dim=-1, keepdim=True).clamp(min=SHORTEST)
