"""linear-probe: logistic regression on the pictures' features, from a random start or from the class texts.

Source: Radford et al. 2021; the text start as "uni-modal" in Lin et al. 2023, whose name hides that it has
seen the texts. Solved full batch on standardised features: the loss is convex, so that no 12,800 small steps
are needed. It is pulled back to where it starts, as strongly as is best on val.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from mmx.core.classifier import NO_TEXTS, SHARED_TEXTS, Classifier, Episode, Fitted, ShotSettings
from mmx.core.settings import setting
from mmx.heads._descent import descend
from mmx.heads.zero_shot import SCALE
from mmx.tasks.selection import choose

RANDOM, TEXT = "random", "text"
SMALL = 0.01
"""Deviation of random weights."""


@dataclass(frozen=True)
class ProbeSettings(ShotSettings):
    """Where the probe starts."""

    start: str = setting(
        RANDOM, "Where the weights start: at random, or at the class texts.", source="Lin et al. 2023, both",
        choices=(RANDOM, TEXT),
    )  # fmt: skip


def fit(settings: ProbeSettings, episode: Episode) -> Fitted:
    """The weights whose pull is best on val; where they start at the texts, these stand by."""
    if settings.start == TEXT:
        start = SCALE * episode.texts.prototypes(episode.classes)
        candidates = [(None, start, torch.zeros(episode.classes))]
    else:
        random = torch.Generator().manual_seed(episode.seed)
        start = SMALL * torch.randn(episode.classes, episode.features.shape[1], generator=random)
        candidates = []
    candidates += descend(episode.features, episode.labels, start)

    def logits(found: tuple[float | None, Tensor, Tensor]) -> Tensor:
        return episode.val_features @ found[1].T + found[2]

    pull, weights, biases = choose(candidates, logits, episode.val_labels)
    return Fitted({"weight": weights, "bias": biases}, {"pull": pull})


def score(settings: ProbeSettings, tensors: Mapping[str, Tensor], features: Tensor) -> Tensor:
    """[B, F] -> x . w_c + b_c, [B, C]."""
    return features @ tensors["weight"].T + tensors["bias"]


CLASSIFIER = Classifier(
    summary="Logistic regression on the features, from a random start or from the class texts.",
    settings=ProbeSettings,
    presets={RANDOM: {"start": RANDOM}, TEXT: {"start": TEXT}},
    rows=(RANDOM, TEXT),
    needs_texts=lambda settings: SHARED_TEXTS if settings.start == TEXT else NO_TEXTS,
    fit=fit,
    score=score,
)
