"""Features on one footing before anything is learned from them.

Source: ours; the power is that of arXiv 1406.6909, the rest is ordinary standardisation.
Shapes: B items, F encoder width.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mmx.nn.precision import at_least_float32

LEAST_VARIANCE = 1e-4
"""Added to the variance: a feature that never changed in training would otherwise shout when it does."""
LEAST_SIZE = 1e-5
"""Added to the size: the slope of a root at 0 is infinite."""


class FeatureScaling(nn.Module):
    """Damps large values, then brings each feature to mean 0 and variance 1.

    z = sign(x) |x|^power
    y = (z - mean) / sqrt(variance + 1e-4)        over everything seen in training so far

    Unlike a batch norm it learns nothing and settles, so that training and evaluation see the same features.
    """

    seen: Tensor
    mean: Tensor
    variance: Tensor

    def __init__(self, width: int, power: float) -> None:
        super().__init__()
        self.power = power
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("variance", torch.ones(width))

    def forward(self, features: Tensor) -> Tensor:
        """[B, F] -> [B, F]; in training the statistics take in the batch first."""
        damped = self._damped(features)
        if self.training:
            self._merge(len(damped), *_moments(damped.detach()))
        return self._standard(damped)

    def measure(self, features: Tensor) -> dict[str, Tensor]:
        """[B, F] -> rows of a piece of a batch: count [1], variance [1, F] and mean [1, F]."""
        variance, mean = _moments(self._damped(features.detach()))
        count = torch.tensor([len(features)], device=features.device)
        return {"count": count, "variance": variance[None], "mean": mean[None]}

    @torch.no_grad()
    def take_in(self, rows: Mapping[str, Tensor]) -> None:
        """The rows that `measure` gave of N pieces of a batch: the statistics take in the whole batch."""
        count = int(rows["count"].sum())
        shares = rows["count"].to(rows["mean"].dtype)[:, None] / count
        mean = (shares * rows["mean"]).sum(0)
        variance = (shares * (rows["variance"] + (rows["mean"] - mean).square())).sum(0)
        self._merge(count, variance, mean)

    def rescale(self, features: Tensor) -> Tensor:
        """[.., F] -> the same shape, with the statistics as they are."""
        return self._standard(self._damped(features))

    def _damped(self, features: Tensor) -> Tensor:
        if self.power == 1:
            return features
        return features.sign() * (features.abs() + LEAST_SIZE) ** self.power

    def _standard(self, damped: Tensor) -> Tensor:
        return (damped - self.mean) * torch.rsqrt(self.variance + LEAST_VARIANCE)

    @torch.no_grad()
    def _merge(self, count: int, variance: Tensor, mean: Tensor) -> None:
        """Merge the statistics of a batch [F] into those of all before it."""
        share = count / (self.seen + count)
        apart = mean - self.mean
        # New tensors instead of new values: what was computed with the old ones keeps its gradient.
        self.variance = (1 - share) * self.variance + share * variance + share * (1 - share) * apart.square()
        self.mean = self.mean + share * apart
        self.seen = self.seen + count


def _moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """[B, F] -> variance [F], mean [F]."""
    return torch.var_mean(at_least_float32(features), dim=0, correction=0)
