"""Batch normalisation of each region slot, for items that may lack some of them.

Source: CVSE code (BruceW91/CVSE, commit 94c2191, model_CVSE.py:221-324); the mask is ours.
Shapes: B items, T regions, D width, S slots.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmx.core.errors import UsageError
from mmx.nn.precision import at_least_float32

EPSILON, MOMENTUM = 1e-5, 0.1


class SlotNorm(nn.Module):
    """Brings what stands in a slot to mean 0 and variance 1 over batch and width, then scales and shifts it.

    y = gain_t (x - mean_t) / sqrt(variance_t + 1e-5) + shift_t

    It ties a region to its place: regions in another order give another answer.
    """

    def __init__(self, slots: int) -> None:
        super().__init__()
        self.gain, self.shift = nn.Parameter(torch.ones(slots)), nn.Parameter(torch.zeros(slots))
        self.register_buffer("mean", torch.zeros(slots))
        self.register_buffer("variance", torch.ones(slots))

    def forward(self, values: Tensor, mask: Tensor) -> Tensor:
        """[B, T, D], [B, T] bool -> [B, T, D], T at most S; in training by the batch, as far as it is there.

        Raises:
            UsageError: when there are more regions than slots.
        """
        slots, count = len(self.gain), values.shape[1]
        if count > slots:
            raise UsageError(
                f"an image has {count} regions, and gate_norm=batch has slots={slots}. "
                f"Set slots={count}, or gate_norm=layer."
            )
        if self.training and count == slots and bool(mask.all()):
            return functional.batch_norm(
                values, self.mean, self.variance, self.gain, self.shift, True, MOMENTUM, EPSILON
            )
        mean, variance = self.mean[:count], self.variance[:count]
        if self.training:
            mean, variance = self._measure(values, mask)
        scale = self.gain[:count] * torch.rsqrt(variance + EPSILON)
        return values * scale[:, None] + (self.shift[:count] - mean * scale)[:, None]

    def _measure(self, values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance [T] of the batch, which the running ones take in where a slot is filled."""
        values = at_least_float32(values).masked_fill(~mask[..., None], 0.0)
        count = mask.sum(dim=0) * values.shape[-1]
        held = count.clamp(min=1)
        mean = values.sum(dim=(0, 2)) / held
        apart = (values - mean[:, None]).masked_fill(~mask[..., None], 0.0)
        variance = apart.square().sum(dim=(0, 2)) / held
        with torch.no_grad():
            share = MOMENTUM * (count > 0)
            unbiased = variance * held / (held - 1).clamp(min=1)
            self.mean[: len(mean)].lerp_(mean, share)
            self.variance[: len(mean)].lerp_(unbiased, share)
        return mean, variance
