"""The strong recipe: a signed gate beside the picture, in front of the best of the plain heads.

    x' = l2(x + tanh(g) (alpha Q) W_o)        alpha = gate(sharpness cos(x, Q))        logits = w . x' + b

Q is the mean picture of each class, or the class texts where they share the pictures' space. With g = 0 the
logits are exactly those of the head it starts from. First W_o = -I: what a picture shares with all that
it may be is taken away, and what tells these apart is left. Then W_o and g learn, held to the start by their
divergence. Of all stages the one with the least calibrated loss on val is kept, among those that are not less
often right there than the start: val can only improve.

Shapes: N shots, B pictures, M rows of the memory, C classes, F width.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div, normalize

from mmx.core.classifier import Episode, Evidence, Fitted, ShotSettings
from mmx.core.present import present
from mmx.heads import gaussian, linear_probe, nearest_mean
from mmx.heads.zero_shot import SCALE
from mmx.methods.dynamic_gating.gate import gate
from mmx.methods.dynamic_gating.settings import GatingSettings
from mmx.tasks.classification import fit_temperature
from mmx.tasks.selection import choose, clearly_better

OPENINGS = (0.125, 0.25, 0.375, 0.5)
"""Values of tanh(g) that are tried with W_o = -I."""
FIRST_OPENING = 0.25
"""With which it learns where val wants the gate shut."""
LOOK_EVERY = 10
TEXTS, CLASSES = "texts", "classes"


@dataclass(frozen=True)
class Start:
    """A linear head: `weight` [C, F] and `bias` [C]."""

    name: str
    weight: Tensor
    bias: Tensor


@dataclass(frozen=True)
class Gated:
    """A gate of some opening in front of a start; `moves` [M, F] is tanh(g) Q W_o."""

    start: Start
    reads: str
    memory: Tensor
    sharpness: float
    moves: Tensor
    stage: str = "start"
    opening: float = 0.0

    def alpha(self, features: Tensor) -> Tensor:
        """[B, F] -> [B, M]."""
        return gate(self.sharpness * features @ self.memory.T)

    def logits(self, features: Tensor) -> Tensor:
        """[B, F] -> [B, C]; with an opening of 0 the features are left as they are."""
        if self.opening:
            features = normalize(features + self.alpha(features) @ self.moves, dim=1)
        return features @ self.start.weight.T + self.start.bias


def fit(settings: GatingSettings, episode: Episode) -> Fitted:
    """The start, the closed gate or the learned one: whatever val likes best."""
    start = _start(settings, episode)
    found = [_shut(start, settings, episode, reads) for reads in _memories(episode)]
    gates = [found[0], *(opened for shut in found for opened in _opened(shut))]
    best = _choose(gates, episode)
    if settings.steps:
        source = best if best.opening else replace(best, opening=FIRST_OPENING)
        best = _choose([best, *_learn(settings, episode, source, best)], episode)
    tensors = {"weight": start.weight, "bias": start.bias, "memory": best.memory, "moves": best.moves}
    tensors["reads_texts"] = torch.tensor(best.reads == TEXTS)
    tensors["sharpness"] = torch.tensor(best.sharpness)
    chosen = {"start": start.name, "stage": best.stage, "opening": best.opening, "reads": best.reads}
    return Fitted(tensors, chosen)


def _start(settings: ShotSettings, episode: Episode) -> Start:
    """The Gaussian head, which holds zero-shot too where there are class texts, or one that is clearly better
    on val (a few dozen pictures would often say "better" by chance); at the scale that it means.
    """
    gaussians = gaussian.fit(settings, episode).tensors
    best = Start("gaussian", gaussians["weight"], gaussians["bias"])
    for other in _others(settings, episode):
        theirs, ours = _linear(other, episode.val_features), _linear(best, episode.val_features)
        if clearly_better(theirs, ours, episode.val_labels):
            best = other
    if not len(episode.val_labels):
        return best
    scale = fit_temperature(_linear(best, episode.val_features), episode.val_labels)
    return Start(best.name, best.weight / scale, best.bias / scale)


def _others(settings: ShotSettings, episode: Episode) -> Iterator[Start]:
    """The nearest mean; and the linear probe, which is ahead where one shot shows the Gaussian no spread."""
    means = SCALE * nearest_mean.fit(settings, episode).tensors["means"]
    yield Start("nearest-mean", means, torch.zeros(episode.classes))
    start = linear_probe.TEXT if TEXTS in _memories(episode) else linear_probe.RANDOM
    probe = linear_probe.fit(linear_probe.ProbeSettings(start=start), episode).tensors
    yield Start("linear-probe", probe["weight"], probe["bias"])


def _linear(start: Start, features: Tensor) -> Tensor:
    return features @ start.weight.T + start.bias


def _memories(episode: Episode) -> list[str]:
    shared = episode.texts is not None and episode.texts.shared
    return [CLASSES, TEXTS] if shared else [CLASSES]


def _shut(start: Start, settings: GatingSettings, episode: Episode, reads: str) -> Gated:
    """A gate of no opening over one memory."""
    if reads == TEXTS:
        memory, sharpness = present(episode.texts).features, settings.text_sharpness
    else:
        means = nearest_mean.class_means(episode.features, episode.labels, episode.classes)
        memory, sharpness = normalize(means, dim=1), settings.class_sharpness
    return Gated(start, reads, memory, sharpness, torch.zeros_like(memory))


def _opened(shut: Gated) -> Iterator[Gated]:
    """The gate with W_o = -I at several openings."""
    for opening in OPENINGS:
        yield replace(shut, moves=-opening * shut.memory, stage="closed form", opening=opening)


def _choose(gates: list[Gated], episode: Episode) -> Gated:
    """The least calibrated loss on val, among those not less often right there than the first."""

    def right(found: Gated) -> int:
        return int((found.logits(episode.val_features).argmax(1) == episode.val_labels).sum())

    least = right(gates[0])
    kept = [gates[0], *(found for found in gates[1:] if right(found) >= least)]
    return choose(kept, lambda found: found.logits(episode.val_features), episode.val_labels)


def _learn(settings: GatingSettings, episode: Episode, source: Gated, best: Gated) -> Iterator[Gated]:
    """Some steps of full-batch Adam on W_o, from what `best` has, and on g."""
    width = episode.features.shape[1]
    opened = torch.tensor(source.opening).atanh().requires_grad_()
    weights = (-torch.eye(width) if best.opening else torch.zeros(width, width)).requires_grad_()
    alpha, start = source.alpha(episode.features), source.start
    held = best.logits(episode.features).log_softmax(1)
    optimizer = torch.optim.Adam([weights, opened], lr=settings.gate_lr, fused=True)
    for step in range(1, settings.steps + 1):
        moves = opened.tanh() * (source.memory @ weights)
        moved = normalize(episode.features + alpha @ moves, dim=1)
        logits = _linear(start, moved)
        away = kl_div(logits.log_softmax(1), held, log_target=True, reduction="batchmean")
        optimizer.zero_grad()
        (cross_entropy(logits, episode.labels) + settings.hold * away).backward()
        optimizer.step()
        if step % LOOK_EVERY == 0 or step == settings.steps:
            with torch.no_grad():
                moves = opened.tanh() * (source.memory @ weights)
            opening = float(opened.detach().tanh())
            yield replace(source, moves=moves, stage=f"step {step}", opening=opening)


def score(settings: GatingSettings, tensors: Mapping[str, Tensor], features: Tensor) -> Tensor:
    """[B, F] -> logits [B, C]."""
    if bool(tensors["moves"].any()):
        features = normalize(features + _alpha(tensors, features) @ tensors["moves"], dim=1)
    return features @ tensors["weight"].T + tensors["bias"]


def explain(settings: GatingSettings, tensors: Mapping[str, Tensor], features: Tensor) -> Evidence:
    """[B, F] -> how far each class text, or each class, was opened."""
    return Evidence(_alpha(tensors, features), TEXTS if bool(tensors["reads_texts"]) else CLASSES)


def _alpha(tensors: Mapping[str, Tensor], features: Tensor) -> Tensor:
    return gate(tensors["sharpness"] * features @ tensors["memory"].T)
