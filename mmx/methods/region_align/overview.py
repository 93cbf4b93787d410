"""Parts of a picture or of a caption seen at several sizes: all together first, then windows or single parts.

Source: ours.
Shapes: B items, P parts, V views, F width.
"""

import math

import torch
from torch import Tensor, nn

from mmx.core.errors import UsageError
from mmx.methods.region_align.masking import token_shares
from mmx.nn.feature_scaling import FeatureScaling
from mmx.nn.precision import at_least_float32

SAMPLE = 32
"""Items of a batch from which the statistics of single views are made: a batch has many views of each."""


class Overview(nn.Module):
    """The mean of all parts and the means of windows of them, each on one footing over the training data.

    A mean is over the parts that are there. The mean of all varies less than that of a few, so that it is
    standardised by itself.
    """

    def __init__(self, width: int, power: float, window: int = 1) -> None:
        """Take the parts' width, the power of `FeatureScaling`, and the side of the windows, 1 for none."""
        super().__init__()
        self.window = window
        self.whole = FeatureScaling(width, power)
        self.views = FeatureScaling(width, power)

    def forward(self, parts: Tensor, mask: Tensor, whole_only: bool = False) -> tuple[Tensor, Tensor]:
        """[B, P, F], [B, P] bool -> views [B, V, F] and which are there [B, V] bool, that of all parts first.

        In training and with `whole_only` there is but the first view. In training the statistics take in
        what is there, those of the other views from some items only.
        """
        if self.training:
            self._take_in(parts, mask)
        shares = token_shares(mask)[:, None] if self.training or whole_only else self.shares(mask)
        seen = at_least_float32(shares.to(parts.dtype) @ parts)
        whole, views = self.whole.rescale(seen[:, :1]), self.views.rescale(seen[:, 1:])
        return torch.cat([whole, views], dim=1), shares.any(dim=-1)

    def shares(self, mask: Tensor) -> Tensor:
        """[B, P] bool -> [B, V, P]: of what each view is the mean; 0 where nothing of it is there."""
        members = _members(mask.shape[1], self.window).to(mask.device) & mask[:, None]
        return members / members.sum(dim=-1, keepdim=True).clamp(min=1)

    def _take_in(self, parts: Tensor, mask: Tensor) -> None:
        some = self.shares(mask[:SAMPLE])
        for scaling, of, shares in (
            (self.whole, parts, token_shares(mask)[:, None]),
            (self.views, parts[:SAMPLE], some[:, 1:]),
        ):
            there = shares.any(dim=-1)
            if there.any():
                scaling(at_least_float32(shares.to(of.dtype) @ of)[there])


def _members(parts: int, window: int) -> Tensor:
    """[V, P] bool: the parts of each view.

    Raises:
        UsageError: for windows over parts that are no square grid, or that is smaller than one.
    """
    everything = torch.ones(1, parts, dtype=torch.bool)
    if window == 1:
        return torch.cat([everything, torch.eye(parts, dtype=torch.bool)])
    side = math.isqrt(parts)
    if side * side != parts or side < window:
        raise UsageError(
            f"region_window={window} needs a square grid of at least as many patches a side, and there are "
            f"{parts} patches. Set region_window=1."
        )
    # every second place, and the last one so that no patch is left out
    starts = sorted({*range(0, side - window + 1, 2), side - window})
    place = torch.arange(side)
    inside = torch.stack([(place >= start) & (place < start + window) for start in starts])
    windows = inside[:, None, :, None] & inside[None, :, None, :]
    return torch.cat([everything, windows.flatten(2).flatten(0, 1)])
