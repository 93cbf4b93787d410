"""Instance and consensus in one embedding.

Source: seed 000, "Parameterized Feature Fusion", over the three kinds of CVSE code (BruceW91/CVSE, commit
94c2191, model_CVSE.py:400-470).
Shapes: B images or captions, D shared width.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmx.nn.precision import lengths


class WeightedFusion(nn.Module):
    """One pair of learned weights for a whole modality.

    f = l2(w1 x + w2 x_C)        (w1, w2) = softmax(theta)
    """

    def __init__(self, instance_share: float) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.tensor([math.log(instance_share / (1 - instance_share)), 0.0]))

    def forward(self, instance: Tensor, consensus: Tensor) -> Tensor:
        """[B, D], [B, D] -> fused [B, D], unit length."""
        weights = self.theta.softmax(dim=0)
        return functional.normalize(weights[0] * instance + weights[1] * consensus, dim=-1)

    def parts(self, parts: Tensor, instance: Tensor, consensus: Tensor) -> Tensor:
        """[B, T, D] of the instance, [B, D], [B, D] -> [B, T, D]: what each part gave to the result."""
        weights = self.theta.softmax(dim=0)
        return weights[0] * parts / lengths(weights[0] * instance + weights[1] * consensus)[..., None]


class ConcatFusion(nn.Module):
    """A linear map of both.

    f = l2(W [x ; x_C] + b)
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.map = nn.Linear(2 * width, width)
        nn.init.xavier_uniform_(self.map.weight)
        nn.init.zeros_(self.map.bias)

    def forward(self, instance: Tensor, consensus: Tensor) -> Tensor:
        """[B, D], [B, D] -> fused [B, D], unit length."""
        return functional.normalize(self.map(torch.cat([instance, consensus], dim=-1)), dim=-1)

    def parts(self, parts: Tensor, instance: Tensor, consensus: Tensor) -> Tensor:
        """[B, T, D] of the instance, [B, D], [B, D] -> [B, T, D]: what each part gave to the result."""
        of_instance = self.map.weight[:, : instance.shape[-1]]
        return parts @ of_instance.T / lengths(self.map(torch.cat([instance, consensus], dim=-1)))[..., None]


class AdaptiveFusion(nn.Module):
    """A weight for each item.

    f = l2(alpha x + (1 - alpha) x_C)        alpha = sigmoid(w . (x + x_C) / 2 + b)
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weigh = nn.Linear(width, 1)
        nn.init.xavier_uniform_(self.weigh.weight)
        nn.init.zeros_(self.weigh.bias)

    def forward(self, instance: Tensor, consensus: Tensor) -> Tensor:
        """[B, D], [B, D] -> fused [B, D], unit length."""
        alpha = self.weigh((instance + consensus) / 2).sigmoid()
        return functional.normalize(alpha * instance + (1 - alpha) * consensus, dim=-1)

    def parts(self, parts: Tensor, instance: Tensor, consensus: Tensor) -> Tensor:
        """[B, T, D] of the instance, [B, D], [B, D] -> [B, T, D]: what each part gave to the result."""
        alpha = self.weigh((instance + consensus) / 2).sigmoid()
        return alpha[:, None] * parts / lengths(alpha * instance + (1 - alpha) * consensus)[..., None]


def build_fusion(kind: str, width: int, instance_share: float) -> nn.Module:
    """The fusion that a setting names."""
    if kind == "weighted":
        return WeightedFusion(instance_share)
    return ConcatFusion(width) if kind == "concat" else AdaptiveFusion(width)
