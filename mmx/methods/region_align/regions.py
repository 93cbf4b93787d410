"""Regions of another encoder in the width of the tokens, with where they lie.

Source: ours; seed 004 takes regions to be of the tokens' width already, and leaves places out.
Shapes: B images, R regions, F the encoder's width, D token width.
"""

import torch
from torch import Tensor, nn


class RegionMap(nn.Module):
    """Adds a linear view of a region's vector and one of its place.

    r = W_r x + W_b [x1, y1, x2, y2, area]        fractions of the picture
    """

    GEOMETRY = 5

    def __init__(self, in_width: int, out_width: int) -> None:
        super().__init__()
        self.features = nn.Linear(in_width, out_width)
        self.place = nn.Linear(self.GEOMETRY, out_width, bias=False)
        for layer in (self.features, self.place):
            nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(self.features.bias)

    def forward(self, features: Tensor, boxes: Tensor) -> Tensor:
        """[B, R, F], [B, R, 4] fractions -> [B, R, D], not of unit length."""
        size = boxes[..., 2:] - boxes[..., :2]
        geometry = torch.cat([boxes, size.prod(dim=-1, keepdim=True)], dim=-1)
        return self.features(features) + self.place(geometry)
