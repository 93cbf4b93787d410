"""The precision that a model computes in: what it is called, and what torch does for it."""

from contextlib import AbstractContextManager, nullcontext

import torch

PRECISIONS = {"fp32": None, "bf16": torch.bfloat16}


def autocast(device: torch.device, precision: str) -> AbstractContextManager:
    """Compute in a precision by its name."""
    kind = PRECISIONS[precision]
    return nullcontext() if kind is None else torch.autocast(device.type, dtype=kind)
