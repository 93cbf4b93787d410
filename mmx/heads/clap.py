"""clap: a linear probe held near the class texts, each class as firmly as zero-shot was right about it.

Source: Silva-Rodriguez et al. 2024 (CLAP): the constraints come from the shots themselves, so that nothing is
chosen on val. SGD 0.1 with momentum 0.9 and cosine, 300 epochs, here full batch.

    loss = CE(100 x l2(w)^T, y) + mean_c lambda_c ||w_c - t_c||^2
    lambda_c = mean probability that zero-shot gives class c on its shots
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from mmx.core.classifier import SHARED_TEXTS, Classifier, Episode, Fitted, ShotSettings
from mmx.core.present import present
from mmx.core.settings import setting
from mmx.heads.nearest_mean import class_means
from mmx.heads.zero_shot import SCALE


@dataclass(frozen=True)
class HeldSettings(ShotSettings):
    """How it learns."""

    epochs: int = setting(300, "Full-batch steps.", source="Silva-Rodriguez et al. 2024", low=1)
    lr: float = setting(0.1, "Learning rate.", source="Silva-Rodriguez et al. 2024", low=0)


def firmness(features: Tensor, labels: Tensor, texts: Tensor) -> Tensor:
    """[N, F], [N] int64, [C, F] -> lambda [C], from 0 to 1."""
    probabilities = (SCALE * features @ texts.T).softmax(1)
    return class_means(probabilities, labels, len(texts)).diagonal()


def fit(settings: HeldSettings, episode: Episode) -> Fitted:
    """The weights after the last step."""
    texts = present(episode.texts).prototypes(episode.classes)
    held = firmness(episode.features, episode.labels, texts)
    weights = texts.clone().requires_grad_()
    optimizer = torch.optim.SGD([weights], lr=settings.lr, momentum=0.9)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.epochs)
    for _ in range(settings.epochs):
        logits = SCALE * episode.features @ normalize(weights, dim=1).T
        loss = cross_entropy(logits, episode.labels) + (held * (weights - texts).square().sum(1)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return Fitted({"weight": normalize(weights.detach(), dim=1)})


def score(settings: HeldSettings, tensors: Mapping[str, Tensor], features: Tensor) -> Tensor:
    """[B, F] -> 100 cos(x, w_c), [B, C]."""
    return SCALE * features @ tensors["weight"].T


CLASSIFIER = Classifier(
    summary="A linear probe held near the class texts; needs no validation shots.",
    settings=HeldSettings,
    needs_texts=lambda settings: SHARED_TEXTS,
    fit=fit,
    score=score,
)
