"""nearest-mean: a picture belongs to the class whose mean picture lies nearest.

Source: Snell et al. 2017 (prototypes), without a network of its own.
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import normalize

from mmx.core.classifier import NO_TEXTS, Classifier, Episode, Fitted, ShotSettings
from mmx.heads.zero_shot import SCALE


def class_means(features: Tensor, labels: Tensor, classes: int) -> Tensor:
    """[N, F], [N] int64 -> the mean of each class, [C, F]."""
    sums = features.new_zeros(classes, features.shape[1]).index_add_(0, labels, features)
    return sums / torch.bincount(labels, minlength=classes).clamp(min=1)[:, None]


def fit(settings: ShotSettings, episode: Episode) -> Fitted:
    """The mean of each class's shots."""
    means = class_means(episode.features, episode.labels, episode.classes)
    return Fitted({"means": normalize(means, dim=1)})


def score(settings: ShotSettings, tensors: Mapping[str, Tensor], features: Tensor) -> Tensor:
    """[B, F] -> 100 cos(x, mean_c), [B, C]."""
    return SCALE * features @ tensors["means"].T


CLASSIFIER = Classifier(
    summary="The class whose mean picture is nearest.",
    settings=ShotSettings,
    needs_texts=lambda settings: NO_TEXTS,
    fit=fit,
    score=score,
    learns=False,
)
