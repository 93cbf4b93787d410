"""Choosing among candidates by what they say of samples held out for it."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from torch import Tensor

from mmx.tasks.classification import calibrated_losses

T = TypeVar("T")

ROUNDING = 1e-7
"""Losses that differ by less than this share, as those of float32 logits at two scales do, are a tie."""


def choose(candidates: Iterable[T], logits: Callable[[T], Tensor], labels: Tensor) -> T:
    """The candidate whose logits [N, C] have the least calibrated log loss under labels [N] int64.

    The first one wins a tie, and where there is no sample to choose on. A hundred samples tell candidates
    apart by their log loss where several are equally often right.
    """
    best, least = None, float("inf")
    for candidate in candidates:
        if not len(labels):
            return candidate
        loss = float(calibrated_losses(logits(candidate), labels).mean())
        if best is None or loss < least * (1 - ROUNDING):
            best, least = candidate, loss
    if best is None:
        raise ValueError("there is no candidate to choose from")
    return best


def clearly_better(challenger: Tensor, holder: Tensor, labels: Tensor) -> bool:
    """Two logits [N, C] of the same samples, [N] int64 -> whether the first has the lower calibrated log loss
    by more than one standard error of the paired difference.
    """
    if len(labels) < 2:
        return False
    gain = calibrated_losses(holder, labels) - calibrated_losses(challenger, labels)
    return bool(gain.mean() > gain.std() / len(labels) ** 0.5)
