"""linear-probe: logistic regression on the pictures' features, from a random start or from the class texts.

Source: Radford et al. 2021; the text start as "uni-modal" in Lin et al. 2023, whose name hides that it has
seen the texts. Solved full batch on standardised features: the loss is convex, so that no 12,800 small
steps are needed. It is pulled back to where it starts, as strongly as is best on val. `solver=published`
takes those steps all the same.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from mmx.core.classifier import NO_TEXTS, SHARED_TEXTS, Classifier, Episode, Fitted, ShotSettings
from mmx.core.present import present
from mmx.core.settings import setting
from mmx.heads._descent import descend
from mmx.heads._linear import score
from mmx.heads._published_probe import small_steps
from mmx.heads.zero_shot import SCALE
from mmx.tasks.selection import choose

RANDOM, TEXT = "random", "text"
CONVEX, PUBLISHED = "convex", "published"
SMALL = 0.01
"""Deviation of random weights."""


@dataclass(frozen=True)
class ProbeSettings(ShotSettings):
    """Where the probe starts."""

    start: str = setting(
        RANDOM, "Where the weights start: at random, or at the class texts.", source="Lin et al. 2023, both",
        choices=(RANDOM, TEXT),
    )  # fmt: skip
    solver: str = setting(
        CONVEX,
        "convex: full batch to the end, along a path of pulls; published: 12,800 small steps of AdamW.",
        source="ours: the same accuracy in a fraction of the time",
        choices=(CONVEX, PUBLISHED),
    )


def fit(settings: ProbeSettings, episode: Episode) -> Fitted:
    """The weights whose pull is best on val; where they start at the texts, these stand by."""
    if settings.solver == PUBLISHED:
        return _fit_as_published(settings, episode)
    candidates: list[tuple[float | None, Tensor, Tensor]] = []
    if settings.start == TEXT:
        start = SCALE * present(episode.texts).prototypes(episode.classes)
        candidates.append((None, start, torch.zeros(episode.classes)))
    else:
        random = torch.Generator().manual_seed(episode.seed)
        start = SMALL * torch.randn(episode.classes, episode.features.shape[1], generator=random)
    candidates += descend(episode.features, episode.labels, start)

    def logits(found: tuple[float | None, Tensor, Tensor]) -> Tensor:
        return episode.val_features @ found[1].T + found[2]

    pull, weights, biases = choose(candidates, logits, episode.val_labels)
    return Fitted({"weight": weights, "bias": biases}, {"pull": pull})


def _fit_as_published(settings: ProbeSettings, episode: Episode) -> Fitted:
    """Random weights are those of a new linear layer; the texts stand as they are, the scale beside them."""
    random = torch.Generator().manual_seed(episode.seed)
    if settings.start == TEXT:
        start = present(episode.texts).prototypes(episode.classes)
    else:
        width = episode.features.shape[1]
        start = (2 * torch.rand(episode.classes, width, generator=random) - 1) / width**0.5
    step, weights = small_steps(episode, start, random)
    return Fitted({"weight": SCALE * weights, "bias": torch.zeros(episode.classes)}, {"step": step})


CLASSIFIER = Classifier(
    summary="Logistic regression on the features, from a random start or from the class texts.",
    settings=ProbeSettings,
    presets={RANDOM: {"start": RANDOM}, TEXT: {"start": TEXT}},
    rows=(RANDOM, TEXT),
    needs_texts=lambda settings: SHARED_TEXTS if settings.start == TEXT else NO_TEXTS,
    fit=fit,
    score=score,
)
