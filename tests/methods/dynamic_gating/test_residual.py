"""The strong recipe: it starts as the head it stands before, and val can only improve."""

import dataclasses

import pytest
import torch
from torch.nn.functional import normalize

from mmx.core.classifier import ShotSettings
from mmx.heads import gaussian, nearest_mean, zero_shot
from mmx.methods.dynamic_gating import residual
from mmx.methods.dynamic_gating.settings import GatingSettings
from tests.heads.episodes import make_episode

STRONG = GatingSettings(recipe="strong")
CLOSED = dataclasses.replace(STRONG, steps=0)


def right(logits: torch.Tensor, labels: torch.Tensor) -> int:
    return int((logits.argmax(1) == labels).sum())


@pytest.mark.parametrize("texts", ["shared", "none"])
def test_a_shut_gate_is_the_head_it_stands_before(texts: str) -> None:
    episode, features, _ = make_episode(texts=texts)
    start = residual._start(STRONG, episode)
    shut = residual._shut(start, STRONG, episode, residual.CLASSES)

    assert torch.equal(shut.logits(features), features @ start.weight.T + start.bias)
    head = {"gaussian": gaussian, "nearest-mean": nearest_mean}[start.name]
    alone = head.score(ShotSettings(), head.fit(ShotSettings(), episode).tensors, features)
    assert torch.equal(shut.logits(features).argmax(1), alone.argmax(1))


def test_a_head_that_is_clearly_better_on_val_becomes_the_start() -> None:
    # a feature of no use spreads the shots of a class far: one shot does not show it to the Gaussian
    episode, _, _ = make_episode(shots=1, texts="none", noise=0.05)
    random = torch.Generator().manual_seed(0)

    def with_noise(features: torch.Tensor) -> torch.Tensor:
        noise = 3 * torch.randn(len(features), 1, generator=random)
        return normalize(torch.cat([features, noise], dim=1), dim=1)

    val, val_labels = episode.features.repeat(20, 1), episode.labels.repeat(20)
    spread = dataclasses.replace(
        episode, features=with_noise(episode.features), val_features=with_noise(val), val_labels=val_labels
    )

    names = [start.name for start in residual._others(STRONG, spread)]
    assert names == ["nearest-mean", "linear-probe"]
    assert residual._start(STRONG, spread).name == "linear-probe"


def test_before_zero_shot_a_shut_gate_is_zero_shot() -> None:
    # shots that mislead leave the closed form at zero-shot
    episode, features, _ = make_episode(shots=2, noise=0.1)
    misled = dataclasses.replace(episode, labels=(episode.labels + 1) % 5)

    shut = residual._shut(residual._start(STRONG, misled), STRONG, misled, residual.TEXTS)

    alone = zero_shot.score(ShotSettings(), zero_shot.fit(ShotSettings(), misled).tensors, features)
    assert torch.equal(shut.logits(features).argmax(1), alone.argmax(1))


def test_a_map_of_nothing_leaves_every_picture_where_it_is() -> None:
    # W_o = 0: any opening adds nothing, and the answers are those of the start
    episode, features, labels = make_episode()
    shut = residual._shut(residual._start(STRONG, episode), STRONG, episode, residual.TEXTS)

    opened = dataclasses.replace(shut, opening=0.5)

    torch.testing.assert_close(opened.logits(features), shut.logits(features))
    assert right(opened.logits(features), labels) == right(shut.logits(features), labels)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("texts", ["shared", "none"])
def test_val_can_only_improve(texts: str, seed: int) -> None:
    episode, _, _ = make_episode(texts=texts, noise=0.45, seed=seed)
    start = residual._start(STRONG, episode)

    found = residual.score(STRONG, residual.fit(STRONG, episode).tensors, episode.val_features)

    before = episode.val_features @ start.weight.T + start.bias
    assert right(found, episode.val_labels) >= right(before, episode.val_labels)


def test_the_closed_form_takes_away_what_a_picture_shares_with_all_it_may_be() -> None:
    episode, features, _ = make_episode(texts="none")
    shut = residual._shut(residual._start(CLOSED, episode), CLOSED, episode, residual.CLASSES)
    half = next(gated for gated in residual._opened(shut) if gated.opening == 0.5)

    moved = normalize(features - 0.5 * half.alpha(features) @ shut.memory, dim=1)

    expected = moved @ shut.start.weight.T + shut.start.bias
    torch.testing.assert_close(half.logits(features), expected)


def test_what_is_kept_scores_as_the_gate_that_was_chosen() -> None:
    episode, features, _ = make_episode(noise=0.45, seed=3)
    fitted = residual.fit(STRONG, episode)
    tensors = fitted.tensors
    gated = residual.Gated(
        residual.Start("", tensors["weight"], tensors["bias"]), fitted.chosen["reads"], tensors["memory"],
        float(tensors["sharpness"]), tensors["moves"], opening=fitted.chosen["opening"],
    )  # fmt: skip

    torch.testing.assert_close(residual.score(STRONG, tensors, features), gated.logits(features))


def test_without_validation_shots_nothing_but_the_start_can_be_chosen() -> None:
    episode, _, _ = make_episode()
    empty = dataclasses.replace(episode, val_features=torch.empty(0, 16), val_labels=torch.empty(0).long())

    fitted = residual.fit(STRONG, empty)

    assert (fitted.chosen["stage"], fitted.chosen["opening"]) == ("start", 0.0)


def test_a_firmer_hold_moves_less() -> None:
    episode, features, _ = make_episode(noise=0.45)
    shut = residual._shut(residual._start(STRONG, episode), STRONG, episode, residual.CLASSES)
    source = dataclasses.replace(shut, opening=residual.FIRST_OPENING)

    def moved(hold: float) -> float:
        settings = dataclasses.replace(STRONG, hold=hold)
        *_, last = residual._learn(settings, episode, source, shut)
        return float((last.logits(features) - shut.logits(features)).abs().mean())

    assert moved(100.0) < moved(0.0)
