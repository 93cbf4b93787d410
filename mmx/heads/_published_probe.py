"""The linear probe as it is published: many small steps of AdamW, and the weights that val liked best.

Source: Lin et al. 2023 and its code: 12,800 steps of 8 shots, each pass shuffled and its rest left out, rate
1e-3 with a warm-up of 50 steps and then a cosine, decay 0.01, a look at val every 100 steps. One of the 12
settings of rate, decay and batch that they try. The gradient of the cross-entropy is written out, which saves
most of the time of so small a step.
Shapes: N samples, F feature width, C classes.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from mmx.core.classifier import Episode
from mmx.heads.zero_shot import SCALE

STEPS, BATCH, LOOK_EVERY = 12_800, 8, 100
RATE, DECAY = 1e-3, 0.01
WARM_UP, COLDEST = 50, 1e-5


def rate_at(step: int) -> float:
    """The learning rate of a step, from 0."""
    if step < WARM_UP:
        return RATE * step / WARM_UP if step else COLDEST
    return RATE * (1 + math.cos(math.pi * (step - WARM_UP) / STEPS)) / 2


def small_steps(episode: Episode, start: Tensor, random: torch.Generator) -> tuple[int, Tensor]:
    """Weights [C, F] of logits before their scale -> the step after which val was most often right, the first
    of them, and the weights then; without val the last.
    """
    weights = start.clone()
    weights.grad = torch.empty_like(weights)
    optimizer = torch.optim.AdamW([weights], lr=RATE, weight_decay=DECAY, fused=True)
    found, most = (STEPS, weights), -1
    for step, rows in zip(range(STEPS), _batches(len(episode.labels), random), strict=False):
        optimizer.param_groups[0]["lr"] = rate_at(step)
        features, labels = episode.features[rows], episode.labels[rows]
        slopes = (SCALE * features @ weights.T).softmax(dim=1)
        slopes.scatter_add_(1, labels[:, None], slopes.new_full((len(rows), 1), -1))
        torch.mm(slopes.T, features * (SCALE / len(rows)), out=weights.grad)
        optimizer.step()
        if step % LOOK_EVERY == 0 and len(episode.val_labels):
            right = int(((episode.val_features @ weights.T).argmax(1) == episode.val_labels).sum())
            if right > most:
                found, most = (step + 1, weights.clone()), right
    return found


def _batches(count: int, random: torch.Generator) -> Iterator[Tensor]:
    """Without end: a batch of rows, or all of them where there are fewer."""
    size = min(BATCH, count)
    while True:
        yield from torch.randperm(count, generator=random)[: count - count % size].split(size)
