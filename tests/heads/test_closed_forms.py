"""Classifiers in closed form, by hand and against their definitions."""

import dataclasses

import pytest
import torch
from torch.nn.functional import normalize

from mmx.core.classifier import ClassTexts, Episode, ShotSettings
from mmx.heads import gaussian, nearest_mean, tip_adapter, zero_shot
from tests.heads.episodes import make_episode, random_unit

SETTINGS = ShotSettings()
AXES = torch.eye(2)
TWO = Episode(AXES, torch.tensor([0, 1]), AXES, torch.tensor([0, 1]), 2)


def test_zero_shot_is_a_hundred_times_the_cosine_to_the_mean_of_the_prompts() -> None:
    texts = ClassTexts(
        normalize(torch.tensor([[1.0, 0], [3, 4], [0, 1]]), dim=1), torch.tensor([0, 0, 1]), ("",) * 3, True
    )
    episode = dataclasses.replace(TWO, texts=texts)

    found = zero_shot.score(SETTINGS, zero_shot.fit(SETTINGS, episode).tensors, AXES)

    # class 0: the mean of (1, 0) and (0.6, 0.8) is (0.8, 0.4), of length 0.894
    torch.testing.assert_close(found, torch.tensor([[89.4427, 0], [44.7214, 100]]), atol=1e-3, rtol=0)


def test_the_nearest_mean_by_hand() -> None:
    shots = torch.tensor([[1.0, 0], [0, 1], [0, 1]])
    episode = dataclasses.replace(TWO, features=shots, labels=torch.tensor([0, 0, 1]))

    found = nearest_mean.score(SETTINGS, nearest_mean.fit(SETTINGS, episode).tensors, AXES)

    half = 100 / 2**0.5
    torch.testing.assert_close(found, torch.tensor([[half, 0], [half, 100]]))


def test_the_gaussian_by_hand() -> None:
    # one dimension of spread: class 0 at (0, 0) +- (1, 0), class 1 at (0, 1) +- (1, 0)
    shots = torch.tensor([[1.0, 0], [-1, 0], [1, 1], [-1, 1]])

    weights, biases = gaussian.linear_form(shots, torch.tensor([0, 0, 1, 1]), 2)

    # (N - 1) S = diag(4, 0), tr S = 4 / 3: P = 2 diag(1 / (4 + 4 / 3), 3 / 4)
    torch.testing.assert_close(weights, torch.tensor([[0, 0], [0, 1.5]]))
    torch.testing.assert_close(biases, torch.tensor([0, -0.75]))


def test_the_gaussian_is_the_published_estimate() -> None:
    episode, _, _ = make_episode(shots=6)
    means = nearest_mean.class_means(episode.features, episode.labels, 5)
    centred = episode.features - means[episode.labels]
    covariance = centred.T.double().cov()
    count, width = centred.shape
    precision = width * torch.linalg.pinv((count - 1) * covariance + covariance.trace() * torch.eye(width))

    weights, biases = gaussian.linear_form(episode.features, episode.labels, 5)

    torch.testing.assert_close(weights.double(), means.double() @ precision, atol=1e-4, rtol=1e-4)
    expected = -0.5 * ((means.double() @ precision) * means).sum(1)
    torch.testing.assert_close(biases.double(), expected, atol=1e-4, rtol=1e-4)


def test_one_shot_of_each_class_makes_the_gaussian_a_nearest_mean() -> None:
    episode, features, _ = make_episode(shots=1, texts="none")

    found = gaussian.score(SETTINGS, gaussian.fit(SETTINGS, episode).tensors, features)

    near = nearest_mean.score(SETTINGS, nearest_mean.fit(SETTINGS, episode).tensors, features)
    assert torch.equal(found.argmax(1), near.argmax(1))


def test_a_gaussian_whose_shots_mislead_leaves_zero_shot_alone() -> None:
    episode, features, _ = make_episode(shots=2, noise=0.1)
    misled = dataclasses.replace(episode, labels=(episode.labels + 1) % 5)

    fitted = gaussian.fit(SETTINGS, misled)

    alone = zero_shot.score(SETTINGS, zero_shot.fit(SETTINGS, misled).tensors, features)
    assert fitted.chosen["balance"] == 0.0
    torch.testing.assert_close(gaussian.score(SETTINGS, fitted.tensors, features), alone)


def test_an_empty_cache_is_zero_shot() -> None:
    episode, features, _ = make_episode()
    tensors = dict(tip_adapter.fit(SETTINGS, episode).tensors)

    found = tip_adapter.score(SETTINGS, tensors | {"amount": torch.tensor(0.0)}, features)

    alone = zero_shot.score(SETTINGS, zero_shot.fit(SETTINGS, episode).tensors, features)
    assert torch.equal(found, alone)


def test_the_cache_by_hand() -> None:
    # a key met exactly counts 1, one at a right angle exp(-sharpness)
    found = tip_adapter.look_up(torch.tensor([[1.0, 0.0]]), torch.eye(2), 2.0)

    torch.testing.assert_close(found, torch.tensor([[1.0, 0.1353]]), atol=1e-4, rtol=0)


@pytest.mark.parametrize("head", [zero_shot, nearest_mean, gaussian, tip_adapter])
def test_blobs_are_told_apart(head) -> None:
    episode, features, labels = make_episode(noise=0.1)

    found = head.score(SETTINGS, head.fit(SETTINGS, episode).tensors, features)

    assert float((found.argmax(1) == labels).double().mean()) > 0.9


def test_the_mean_of_no_row_is_nothing() -> None:
    assert nearest_mean.class_means(random_unit(2, 3, 0), torch.tensor([0, 0]), 2)[1].tolist() == [0, 0, 0]
