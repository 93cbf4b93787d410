"""Classifiers that learn: what they are at their start, and where full-batch descent must end."""

import dataclasses

import pytest
import torch
from torch.nn.functional import cross_entropy

from mmx.core.classifier import ShotSettings
from mmx.heads import (
    _descent,
    _published_probe,
    clap,
    cross_modal_probe,
    linear_probe,
    lp_plus_plus,
    tip_adapter,
    tip_adapter_f,
    zero_shot,
)
from mmx.heads._descent import PULLS, descend
from tests.heads.episodes import make_episode, random_unit

SETTINGS = ShotSettings()


def alone(episode, features) -> torch.Tensor:
    """Zero-shot."""
    return zero_shot.score(SETTINGS, zero_shot.fit(SETTINGS, episode).tensors, features)


def standard(features: torch.Tensor) -> torch.Tensor:
    """Each feature less its mean and over its deviation, of mean length 1."""
    found = (features - features.mean(0)) / features.std(0, correction=0)
    return found / found.norm(dim=1).mean()


def test_descent_ends_where_the_slope_is_nothing() -> None:
    episode, _, _ = make_episode()
    start = random_unit(5, 16, 3)
    begun, known = episode.features @ start.T, standard(episode.features)
    scale = torch.linalg.lstsq(episode.features - episode.features.mean(0), known).solution.diagonal()

    for pull, weights, _ in descend(episode.features, episode.labels, start):
        moved = ((weights - start) / scale).requires_grad_()
        loss = cross_entropy(begun + known @ moved.T, episode.labels) + pull / 2 * moved.square().sum()
        loss.backward()
        assert float(moved.grad.abs().max()) < 3e-5


@pytest.mark.parametrize("directions", [1, 3])
def test_descent_ends_at_the_same_place_with_few_directions(
    directions: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # a span of one direction is plain descent by gradients, and needs more of them
    episode, unseen, _ = make_episode()
    start = random_unit(5, 16, 3)
    monkeypatch.setattr(_descent, "SLOPE", 1e-6)
    monkeypatch.setattr(_descent, "STEPS", 3000)
    whole = list(descend(episode.features, episode.labels, start))

    monkeypatch.setattr(_descent, "DIRECTIONS", directions)
    monkeypatch.setattr(_descent, "FEWEST", 1)

    for (_, weights, biases), found in zip(
        whole, descend(episode.features, episode.labels, start), strict=True
    ):
        ours, known = unseen @ found[1].T + found[2], unseen @ weights.T + biases
        assert float((ours - known).norm() / known.norm()) < 0.01


def count_directions(monkeypatch: pytest.MonkeyPatch) -> list[_descent._Descent]:
    """One item a direction that is added from now on: the descent that it was added to."""
    seen, added = _descent._Descent._add, []

    def add(descent: _descent._Descent, direction: torch.Tensor) -> None:
        seen(descent, direction)
        added.append(descent)

    monkeypatch.setattr(_descent._Descent, "_add", add)
    return added


def test_directions_are_as_many_as_memory_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    # 5 classes of 20 samples: 100 logits a direction, and 80 numbers of its own
    episode, _, _ = make_episode()
    monkeypatch.setattr(_descent, "NUMBERS", 350)
    added = count_directions(monkeypatch)

    list(descend(episode.features, episode.labels, torch.zeros(5, 16)))

    last = added[-1]
    assert len(last._added) == 3 and len(added) > 3
    torch.testing.assert_close(last._products, last._directions @ last._directions.T)


def test_a_span_takes_fewer_looks_than_a_gradient_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    episode, _, _ = make_episode()
    start = random_unit(5, 16, 3)
    looks = []
    for directions in (64, 1):
        monkeypatch.setattr(_descent, "DIRECTIONS", directions)
        monkeypatch.setattr(_descent, "FEWEST", 1)
        with monkeypatch.context() as counting:
            added = count_directions(counting)
            list(descend(episode.features, episode.labels, start))
        looks.append(len(added))

    assert looks[0] <= 20 and looks[1] > 1.5 * looks[0]


def test_descent_from_texts_that_are_all_wrong_and_sure_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    # logits of a hundred: steps that trust the curvature where they stand lead too far, and are cut
    episode, unseen, _ = make_episode(shots=8, noise=0.1)
    wrong = (episode.labels + 1) % 5
    start = linear_probe.SCALE * episode.texts.features
    exact = list(_descended(episode.features.double(), wrong, start.double()))
    added = count_directions(monkeypatch)

    for (_, weights, biases), end in zip(descend(episode.features, wrong, start), exact, strict=True):
        torch.testing.assert_close(
            unseen @ weights.T + biases, unseen @ end[0].float().T + end[1].float(), atol=0.2, rtol=0
        )
    assert len(added) <= 40


def _descended(features: torch.Tensor, labels: torch.Tensor, start: torch.Tensor):
    """The same losses by torch's L-BFGS in float64, to their end."""
    known = standard(features)
    scale = torch.linalg.lstsq(features - features.mean(0), known).solution.diagonal()
    moved = torch.zeros_like(start, requires_grad=True)
    for pull in PULLS:
        optimizer = torch.optim.LBFGS(
            [moved], max_iter=400, tolerance_grad=1e-7, tolerance_change=0, line_search_fn="strong_wolfe"
        )

        def loss(optimizer: torch.optim.LBFGS = optimizer, pull: float = pull) -> torch.Tensor:
            optimizer.zero_grad()
            found = (
                cross_entropy(features @ start.T + known @ moved.T, labels) + pull / 2 * moved.square().sum()
            )
            found.backward()
            return found

        optimizer.step(loss)
        slopes = moved.detach() * scale
        yield start + slopes, -slopes @ features.mean(0)


def test_the_bias_takes_the_mean_away() -> None:
    # what is moved says nothing of the mean picture
    episode, _, _ = make_episode()
    mean = episode.features.mean(0)

    for _, weights, biases in descend(episode.features, episode.labels, torch.zeros(5, 16)):
        torch.testing.assert_close(mean @ weights.T + biases, torch.zeros(5), atol=1e-4, rtol=0)


def test_a_feature_counts_alike_in_any_unit() -> None:
    episode, unseen, _ = make_episode()
    units = torch.linspace(0.5, 3, 16)

    ours = [unseen @ w.T + b for _, w, b in descend(episode.features, episode.labels, torch.zeros(5, 16))]
    other = descend(episode.features * units, episode.labels, torch.zeros(5, 16))

    for found, (_, weights, biases) in zip(ours, other, strict=True):
        torch.testing.assert_close((unseen * units) @ weights.T + biases, found, atol=2e-2, rtol=1e-2)


def test_a_feature_that_never_differs_is_left_out() -> None:
    episode, _, _ = make_episode()
    flat = torch.cat([episode.features, torch.zeros(20, 1)], dim=1)

    for _, weights, biases in descend(flat, episode.labels, torch.zeros(5, 17)):
        assert not weights[:, 16].any() and bool(biases.isfinite().all())


def test_a_stronger_pull_stays_nearer_to_the_start() -> None:
    episode, _, _ = make_episode()
    start = random_unit(5, 16, 3)

    far = [float((found[1] - start).norm()) for found in descend(episode.features, episode.labels, start)]

    assert far == sorted(far) and len(far) == len(PULLS)


def test_a_sample_of_weight_nothing_has_no_say() -> None:
    episode, _, _ = make_episode()
    start, more = torch.zeros(5, 16), torch.cat([episode.features, random_unit(1, 16, 4)])
    weights = torch.cat([torch.full((20,), 1 / 20), torch.zeros(1)])

    with_it = list(descend(more, torch.cat([episode.labels, torch.tensor([2])]), start, weights))

    for ours, theirs in zip(with_it, descend(episode.features, episode.labels, start), strict=True):
        torch.testing.assert_close(ours[1], theirs[1], atol=5e-2, rtol=1e-2)


def test_the_text_probe_whose_shots_mislead_stays_at_the_texts() -> None:
    episode, features, _ = make_episode(noise=0.1)
    misled = dataclasses.replace(episode, labels=(episode.labels + 1) % 5)
    settings = linear_probe.ProbeSettings(start="text")

    fitted = linear_probe.fit(settings, misled)

    assert fitted.chosen["pull"] is None
    found, known = linear_probe.score(settings, fitted.tensors, features), alone(misled, features)
    torch.testing.assert_close(found, known)
    assert torch.equal(found.argmax(1), known.argmax(1))


def test_texts_are_half_of_what_the_cross_modal_probe_learns_from() -> None:
    # pictures alone teach the wrong classes; the texts hold against them
    episode, features, labels = make_episode(noise=0.1)
    misled = dataclasses.replace(episode, labels=(episode.labels + 1) % 5)

    found = cross_modal_probe.score(SETTINGS, cross_modal_probe.fit(SETTINGS, misled).tensors, features)

    assert float((found.argmax(1) == labels).double().mean()) > 0.8


def test_blends_of_a_hundred_without_weights_are_zero_shot() -> None:
    episode, features, _ = make_episode()
    tensors = {
        "weight": torch.zeros(5, 16),
        "blend": torch.full((5,), 100.0),
        "texts": episode.texts.prototypes(5),
    }

    found = lp_plus_plus.score(lp_plus_plus.BlendSettings(), tensors, features)

    torch.testing.assert_close(found, alone(episode, features))


def test_steps_of_lp_plus_plus_only_lower_the_loss() -> None:
    episode, _, _ = make_episode()
    texts = episode.texts.prototypes(5)

    found = [
        float(cross_entropy(lp_plus_plus._logits(episode.features, weights, blends, texts), episode.labels))
        for _, weights, blends in lp_plus_plus._learn(episode, texts, 100)
    ]

    assert found == sorted(found, reverse=True) and found[-1] < found[0]


def test_clap_without_epochs_of_any_rate_is_zero_shot() -> None:
    episode, features, _ = make_episode()
    settings = clap.HeldSettings(epochs=1, lr=0.0)

    found = clap.score(settings, clap.fit(settings, episode).tensors, features)

    torch.testing.assert_close(found, alone(episode, features), atol=1e-3, rtol=0)


def test_clap_holds_a_class_as_firmly_as_zero_shot_knows_it() -> None:
    texts = torch.eye(2)

    held = clap.firmness(torch.tensor([[1.0, 0], [1, 0], [1, 0]]), torch.tensor([0, 0, 1]), texts)

    torch.testing.assert_close(held, torch.tensor([1.0, 0.0]), atol=1e-6, rtol=0)


def test_a_tuned_cache_may_keep_the_keys_that_it_began_with() -> None:
    episode, features, _ = make_episode()
    settings = tip_adapter_f.TunedCacheSettings(epochs=1, lr=0.0)

    found = tip_adapter_f.score(settings, tip_adapter_f.fit(settings, episode).tensors, features)

    cache = tip_adapter.fit(SETTINGS, episode)
    torch.testing.assert_close(found, tip_adapter.score(SETTINGS, cache.tensors, features))


@pytest.mark.parametrize(("start", "least"), [("random", 0.95), ("text", 0.8)])
def test_a_probe_learns_what_zero_shot_does_not_know(start: str, least: float) -> None:
    # every text stands for the class before it: zero-shot is never right, and pulls back
    episode, features, labels = make_episode(shots=8, noise=0.1)
    shifted = dataclasses.replace(
        episode, labels=(episode.labels + 1) % 5, val_labels=(episode.val_labels + 1) % 5
    )
    settings = linear_probe.ProbeSettings(start=start)

    found = linear_probe.score(settings, linear_probe.fit(settings, shifted).tensors, features)

    assert float((found.argmax(1) == (labels + 1) % 5).double().mean()) > least


def test_the_published_steps_are_those_of_autograd_and_adamw(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_published_probe, "STEPS", 130)
    episode = dataclasses.replace(make_episode(shots=5)[0], val_features=torch.empty(0, 16))
    episode = dataclasses.replace(episode, val_labels=torch.empty(0, dtype=torch.int64))
    start, random = random_unit(5, 16, 3), torch.Generator().manual_seed(0)
    weights = start.clone().requires_grad_()
    optimizer = torch.optim.AdamW([weights], lr=1.0, weight_decay=0.01)
    for step in range(130):
        if step % 3 == 0:  # 25 shots are three batches of 8, and one is left out
            batches = torch.randperm(25, generator=random)[:24].split(8)
        rows = batches[step % 3]
        optimizer.param_groups[0]["lr"] = _published_probe.rate_at(step)
        optimizer.zero_grad()
        cross_entropy(100 * episode.features[rows] @ weights.T, episode.labels[rows]).backward()
        optimizer.step()

    step, found = _published_probe.small_steps(episode, start, torch.Generator().manual_seed(0))

    assert step == 130
    torch.testing.assert_close(found, weights.detach(), atol=1e-5, rtol=1e-4)


def test_the_rate_of_the_published_steps_rises_for_fifty_and_then_falls() -> None:
    rates = [_published_probe.rate_at(step) for step in (0, 25, 49, 50, 12_799)]

    assert rates == pytest.approx([1e-5, 5e-4, 9.8e-4, 1e-3, 3.8e-8], rel=0.05)


def test_the_published_probe_keeps_the_look_that_val_liked_best(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_published_probe, "STEPS", 301)
    episode, unseen, labels = make_episode(noise=0.05)
    settings = linear_probe.ProbeSettings(solver=linear_probe.PUBLISHED)

    fitted = linear_probe.fit(settings, episode)

    assert fitted.chosen["step"] in (1, 101, 201, 301)
    found = linear_probe.score(settings, fitted.tensors, unseen).argmax(1)
    assert float((found == labels).double().mean()) > 0.8


def test_the_published_probe_may_start_at_the_class_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_published_probe, "STEPS", 1)
    episode, unseen, _ = make_episode()
    settings = linear_probe.ProbeSettings(start=linear_probe.TEXT, solver=linear_probe.PUBLISHED)

    found = linear_probe.score(settings, linear_probe.fit(settings, episode).tensors, unseen)

    torch.testing.assert_close(found, alone(episode, unseen), atol=1e-2, rtol=1e-3)
