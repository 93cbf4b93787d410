"""tip-adapter-f: tip-adapter whose keys are tuned.

Source: Zhang et al. 2022 (AdamW 1e-3, 20 epochs, batches of 256, cosine). The epoch is chosen on val; the
published code chooses it on test, so that its own numbers flatter.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from mmx.core.classifier import SHARED_TEXTS, Classifier, Episode, Fitted, ShotSettings
from mmx.core.present import present
from mmx.core.settings import setting
from mmx.heads.tip_adapter import look_up, score, settle
from mmx.heads.zero_shot import SCALE
from mmx.tasks.selection import choose

SHARPNESS, AMOUNT = 5.5, 1.0
"""Under which the keys are tuned."""
EPSILON = 1e-4


@dataclass(frozen=True)
class TunedCacheSettings(ShotSettings):
    """How the keys are tuned."""

    epochs: int = setting(20, "Passes over the shots.", source="Zhang et al. 2022", low=1)
    lr: float = setting(1e-3, "Learning rate of the keys.", source="Zhang et al. 2022", low=0)
    batch_size: int = setting(256, "Shots a step.", source="Zhang et al. 2022", low=1)


def fit(settings: TunedCacheSettings, episode: Episode) -> Fitted:
    """The keys of the epoch that is best on val, then amount and sharpness as in tip-adapter."""
    texts = present(episode.texts).prototypes(episode.classes)
    values = one_hot(episode.labels, episode.classes).float()
    known = SCALE * episode.val_features @ texts.T

    def logits(found: tuple[int, Tensor]) -> Tensor:
        return known + AMOUNT * look_up(episode.val_features @ found[1].T, values, SHARPNESS)

    epoch, keys = choose(_tune(settings, episode, texts, values), logits, episode.val_labels)
    settled = settle(episode, texts, keys)
    return Fitted(settled.tensors, {"epoch": epoch, **settled.chosen})


def _tune(
    settings: TunedCacheSettings, episode: Episode, texts: Tensor, values: Tensor
) -> Iterator[tuple[int, Tensor]]:
    """Each epoch with its keys [K, F]; epoch 0 has those of the shots."""
    yield 0, episode.features
    keys = episode.features.clone().requires_grad_()
    optimizer = torch.optim.AdamW([keys], lr=settings.lr, eps=EPSILON)
    steps = settings.epochs * -(-len(keys) // settings.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    random = torch.Generator().manual_seed(episode.seed)
    for epoch in range(1, settings.epochs + 1):
        for rows in torch.randperm(len(keys), generator=random).split(settings.batch_size):
            features = episode.features[rows]
            found = SCALE * features @ texts.T + AMOUNT * look_up(features @ keys.T, values, SHARPNESS)
            optimizer.zero_grad()
            cross_entropy(found, episode.labels[rows]).backward()
            optimizer.step()
            schedule.step()
        yield epoch, keys.detach().clone()


CLASSIFIER = Classifier(
    summary="Tip-adapter with tuned keys; the epoch is chosen on val.",
    settings=TunedCacheSettings,
    needs_texts=lambda settings: SHARED_TEXTS,
    fit=fit,
    score=score,
)
