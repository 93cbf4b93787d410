"""cross-modal-probe: logistic regression on pictures and class texts alike, each text one more shot.

Source: Lin et al. 2023 ("Multimodality helps unimodality"): half of what is learned from are texts, the
weights start at the class texts, and the mean with these is tried too (WiSE-FT, Wortsman et al. 2022).
"""

import torch
from torch import Tensor

from mmx.core.classifier import SHARED_TEXTS, Classifier, Episode, Fitted, ShotSettings
from mmx.core.present import present
from mmx.heads._descent import descend
from mmx.heads._linear import score
from mmx.heads.zero_shot import SCALE
from mmx.tasks.selection import choose

MIXES = (1.0, 0.5)
"""Shares of what was learned that are tried; the rest is the start."""


def fit(settings: ShotSettings, episode: Episode) -> Fitted:
    """The weights whose pull and mix are best on val."""
    texts = present(episode.texts)
    start = SCALE * texts.prototypes(episode.classes)
    features = torch.cat([episode.features, texts.features])
    labels = torch.cat([episode.labels, texts.labels])
    halves = [torch.full((len(part),), 0.5 / len(part)) for part in (episode.labels, texts.labels)]
    candidates = [
        (pull, mix, mix * weights + (1 - mix) * start, mix * biases)
        for pull, weights, biases in descend(features, labels, start, torch.cat(halves))
        for mix in MIXES
    ]

    def logits(found: tuple[float, float, Tensor, Tensor]) -> Tensor:
        return episode.val_features @ found[2].T + found[3]

    pull, mix, weights, biases = choose(candidates, logits, episode.val_labels)
    return Fitted({"weight": weights, "bias": biases}, {"pull": pull, "mix": mix})


CLASSIFIER = Classifier(
    summary="Logistic regression on pictures and class texts together.",
    settings=ShotSettings,
    needs_texts=lambda settings: SHARED_TEXTS,
    fit=fit,
    score=score,
)
