"""The scores of a linear head, as several classifiers keep them."""

from collections.abc import Mapping

from torch import Tensor

from mmx.core.classifier import ShotSettings


def score(settings: ShotSettings, tensors: Mapping[str, Tensor], features: Tensor) -> Tensor:
    """[B, F] -> x . w_c + b_c, [B, C]."""
    return features @ tensors["weight"].T + tensors["bias"]
