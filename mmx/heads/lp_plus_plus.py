"""lp-plus-plus: a linear probe that blends in, class by class, how near the class text lies.

Source: Huang et al. 2024 (LP++): step sizes from Lipschitz constants, full batch, 300 steps.

    logits_c = x . w_c + a_c (x . t_c)
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from mmx.core.classifier import SHARED_TEXTS, Classifier, Episode, Fitted, ShotSettings
from mmx.core.present import present
from mmx.core.settings import setting
from mmx.heads.nearest_mean import class_means
from mmx.tasks.selection import choose

FIRST_BLEND = 250.0
"""Times the mean nearness of the shots to their class text: the first value of every a_c."""
LOOK_EVERY = 20
"""Steps between two looks at val."""


@dataclass(frozen=True)
class BlendSettings(ShotSettings):
    """How long it learns."""

    steps: int = setting(300, "Full-batch steps.", source="Huang et al. 2024", low=1)


def fit(settings: BlendSettings, episode: Episode) -> Fitted:
    """The weights and blends of the step that is best on val."""
    texts = present(episode.texts).prototypes(episode.classes)

    def logits(found: tuple[int, Tensor, Tensor]) -> Tensor:
        return _logits(episode.val_features, found[1], found[2], texts)

    candidates = _learn(episode, texts, settings.steps)
    step, weights, blends = choose(candidates, logits, episode.val_labels)
    return Fitted({"weight": weights, "blend": blends, "texts": texts}, {"step": step})


def _learn(episode: Episode, texts: Tensor, steps: int) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Some steps with the weights [C, F] and blends [C] after them.

    The curvature of the log loss in one class's logit is at most 1/4, which bounds the steps: 4 N over the
    largest eigenvalue of X^T X for the weights, 4 N over max_c sum_i (x_i . t_c)^2 for the blends.
    """
    features, classes = episode.features, episode.classes
    right, nearness = one_hot(episode.labels, classes).float(), features @ texts.T
    weights = class_means(features, episode.labels, classes)
    own = class_means(nearness, episode.labels, classes).diagonal()
    blends = torch.full((classes,), FIRST_BLEND * float(own.mean()))
    count = len(features)
    weight_step = 4 * count / float(torch.linalg.matrix_norm(features, 2) ** 2)
    blend_step = 4 * count / max(float(nearness.square().sum(0).max()), 1e-12)
    yield 0, weights, blends
    for step in range(1, steps + 1):
        slope = ((features @ weights.T + blends * nearness).softmax(1) - right) / count
        weights = weights - weight_step * slope.T @ features
        slope = ((features @ weights.T + blends * nearness).softmax(1) - right) / count
        blends = blends - blend_step * (slope * nearness).sum(0)
        if step % LOOK_EVERY == 0 or step == steps:
            yield step, weights, blends


def _logits(features: Tensor, weights: Tensor, blends: Tensor, texts: Tensor) -> Tensor:
    return features @ weights.T + blends * (features @ texts.T)


def score(settings: BlendSettings, tensors: Mapping[str, Tensor], features: Tensor) -> Tensor:
    """[B, F] -> x . w_c + a_c (x . t_c), [B, C]."""
    return _logits(features, tensors["weight"], tensors["blend"], tensors["texts"])


CLASSIFIER = Classifier(
    summary="A linear probe that blends in each class's text by its own amount.",
    settings=BlendSettings,
    needs_texts=lambda settings: SHARED_TEXTS,
    fit=fit,
    score=score,
)
