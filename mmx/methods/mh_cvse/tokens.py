"""The first layer over what an encoder gives: regions of an image, or tokens of a caption.

Source: CVSE code (BruceW91/CVSE, commit 94c2191, model_CVSE.py:46-80); norms and dropout are ours.
Shapes: B items, T regions or tokens, F encoder width, D width.
"""

from torch import Tensor, nn
from torch.nn import functional

from mmx.methods.mh_cvse.dropout import Dropout
from mmx.methods.mh_cvse.packing import Packing
from mmx.nn.feature_scaling import FeatureScaling


class ProjectedTokens(nn.Module):
    """A linear map of every region or token, to unit length.

    v = l2(W dropout(N(x)) + b)        N: nothing, a LayerNorm, or mean 0 and variance 1
    """

    def __init__(self, in_width: int, width: int, norm: str, power: float, dropout: float) -> None:
        super().__init__()
        self.scale = FeatureScaling(in_width, power) if norm == "standard" else None
        self.norm = nn.LayerNorm(in_width) if norm == "layer" else None
        self.dropout = Dropout(dropout)
        self.project = nn.Linear(in_width, width)
        nn.init.xavier_uniform_(self.project.weight)
        nn.init.zeros_(self.project.bias)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """[B, T, F], [B, T] bool -> [B, T, D], unit length, zero on padding."""
        packing = Packing(mask)
        there = packing.pack(features)
        if self.scale is not None:
            there = self.scale(there)
        if self.norm is not None:
            there = self.norm(there)
        return packing.unpack(functional.normalize(self.project(self.dropout(there)), dim=-1))
