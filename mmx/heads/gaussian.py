"""gaussian: each class is a Gaussian around its mean, all with one covariance; solved in closed form.

Source: Wang et al. 2024 ("A hard-to-beat baseline for training-free CLIP-based adaptation"): the ridge
estimate of the precision, and the sum with zero-shot where there are class texts. S is the covariance of the
shots about their class means, with N - 1 in its denominator:

    P = F ((N - 1) S + tr(S) I)^-1        w_c = P m_c        b_c = -1/2 m_c . P m_c
"""

import torch
from torch import Tensor

from mmx.core.classifier import NO_TEXTS, Classifier, Episode, Fitted, ShotSettings
from mmx.heads._linear import score
from mmx.heads.nearest_mean import class_means
from mmx.heads.zero_shot import SCALE
from mmx.tasks.selection import choose

BALANCES = (1.0, 0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 3.0, 10.0, 30.0)
"""Weights of the Gaussian logits beside those of zero-shot that are tried; 0 leaves zero-shot alone."""


def linear_form(features: Tensor, labels: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """[N, F], [N] int64 -> weights [C, F] and biases [C] of the Gaussian logits, with equal priors.

    One shot a class shows no spread: the covariance is then taken to be the same in every direction.
    """
    count, width = features.shape
    means = class_means(features, labels, classes).double()
    centred = features.double() - means[labels]
    scatter = centred.T @ centred
    identity = torch.eye(width, dtype=torch.float64)
    trace = scatter.trace() / max(1, count - 1)
    ridge = scatter + trace * identity if float(trace) > 1e-12 else identity
    weights = torch.linalg.solve(ridge, width * means.T).T
    return weights.float(), (-0.5 * (weights * means).sum(1)).float()


def fit(settings: ShotSettings, episode: Episode) -> Fitted:
    """The Gaussians; with class texts of the same space, the balance with zero-shot is chosen on val."""
    weights, biases = linear_form(episode.features, episode.labels, episode.classes)
    if episode.texts is None or not episode.texts.shared:
        return Fitted({"weight": weights, "bias": biases})
    zero_shot = SCALE * episode.texts.prototypes(episode.classes)
    gaussian = episode.val_features @ weights.T + biases
    known = episode.val_features @ zero_shot.T
    balance = choose(BALANCES, lambda balance: known + balance * gaussian, episode.val_labels)
    tensors = {"weight": zero_shot + balance * weights, "bias": balance * biases}
    return Fitted(tensors, {"balance": balance})


CLASSIFIER = Classifier(
    summary="Gaussians of one covariance in closed form, beside zero-shot where there are class texts.",
    settings=ShotSettings,
    needs_texts=lambda settings: NO_TEXTS,
    fit=fit,
    score=score,
    learns=False,
)
