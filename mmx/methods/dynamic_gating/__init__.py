"""dynamic-gating: few-shot classification through a gate over class texts. Source: seed 003."""

from collections.abc import Mapping

from torch import Tensor

from mmx.core.classifier import ANY_TEXTS, NO_TEXTS, Classifier, Episode, Evidence, Fitted
from mmx.methods.dynamic_gating import published, residual
from mmx.methods.dynamic_gating.settings import PAPER, PRESETS, ROWS, STRONG, GatingSettings

RECIPES = {PAPER: published, STRONG: residual}


def fit(settings: GatingSettings, episode: Episode) -> Fitted:
    """What the recipe learns of an episode."""
    return RECIPES[settings.recipe].fit(settings, episode)


def score(settings: GatingSettings, tensors: Mapping[str, Tensor], features: Tensor) -> Tensor:
    """[B, F] -> logits [B, C]."""
    return RECIPES[settings.recipe].score(settings, tensors, features)


def explain(settings: GatingSettings, tensors: Mapping[str, Tensor], features: Tensor) -> Evidence:
    """[B, F] -> what the gate opened."""
    return RECIPES[settings.recipe].explain(settings, tensors, features)


METHOD = Classifier(
    summary="Few-shot classification through a gate over class texts, or over the classes' mean pictures.",
    settings=GatingSettings,
    presets=PRESETS,
    rows=ROWS,
    needs_texts=lambda settings: ANY_TEXTS if settings.recipe == PAPER else NO_TEXTS,
    fit=fit,
    score=score,
    explain=explain,
)
