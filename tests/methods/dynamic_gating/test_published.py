"""The published network: the laws of its equations, its defect, and the loop that learns it."""

import dataclasses

import pytest
import torch
from torch.nn.functional import normalize

from mmx.core.errors import UsageError
from mmx.methods.dynamic_gating import published
from mmx.methods.dynamic_gating.published import Passed, losses, pass_through
from mmx.methods.dynamic_gating.settings import GatingSettings
from tests.heads.episodes import make_episode, random_unit

PAPER = GatingSettings(recipe="paper", top_k=3)
TEXT_LABELS = torch.arange(5)


def weights(episode, seed: int = 0) -> dict[str, torch.Tensor]:
    return published._start(episode.texts, episode.features.shape[1], dataclasses.replace(episode, seed=seed))


def test_one_open_text_is_passed_on_whole() -> None:
    episode, features, _ = make_episode()
    tensors = weights(episode)
    keys = (episode.texts.features @ tensors["text_map"]).relu()

    passed = pass_through(dataclasses.replace(PAPER, top_k=1), tensors, features)

    opened = keys[passed.alpha.argmax(1)]
    torch.testing.assert_close(passed.written, (opened @ tensors["output_map"]).relu())


def test_texts_in_another_order_change_nothing_but_the_order_of_alpha() -> None:
    episode, features, _ = make_episode()
    tensors, order = weights(episode), torch.tensor([3, 0, 4, 1, 2])

    here = pass_through(PAPER, tensors, features)
    there = pass_through(PAPER, tensors | {"texts": tensors["texts"][order]}, features)

    torch.testing.assert_close(there.written, here.written)
    torch.testing.assert_close(there.alpha, here.alpha[:, order])


def test_reconstruction_never_falls_below_the_negative_part_of_the_pictures() -> None:
    episode, features, labels = make_episode()
    floor = features.clamp(max=0).square().sum(1).mean()

    for seed in range(5):
        passed = pass_through(PAPER, weights(episode, seed), features)
        assert losses(PAPER, passed, features, labels, TEXT_LABELS)["reconstruction"] >= floor
    best = Passed(features.relu(), torch.zeros(len(features), 5), torch.zeros(5, 16))
    found = losses(PAPER, best, features, labels, TEXT_LABELS)["reconstruction"]
    torch.testing.assert_close(found, floor)
    # of signed vectors of unit length about half is negative: half of each picture is lost
    assert 0.3 < float(floor) < 0.7


def test_the_loss_by_hand() -> None:
    # distances 1 and 0, so 1/2 in the mean; cosines 0 and 1 to the own text, so 1/2 too
    passed = Passed(torch.eye(2), torch.zeros(2, 2), torch.eye(2))
    features, labels = torch.tensor([[0.0, 0], [0, 1]]), torch.tensor([1, 1])

    found = losses(PAPER, passed, features, labels, torch.tensor([0, 1]))

    assert {name: float(value) for name, value in found.items()} == {
        "reconstruction": 0.5,
        "alignment": 0.5,
        "total": 0.5,
    }
    lone = losses(dataclasses.replace(PAPER, reconstruction_weight=1.0), passed, 2 * features, labels, labels)
    # the second is written at half its length: (1 + 1) / 2
    assert float(lone["total"]) == 1.0


def test_several_texts_of_a_class_are_drawn_to_by_their_mean() -> None:
    found = published._class_targets(torch.tensor([[1.0, 0], [3, 0], [0, 5]]), torch.tensor([0, 0, 1]))

    assert found.tolist() == [[2, 0], [0, 5]]


def test_scores_may_be_divided_by_the_root_of_the_width() -> None:
    episode, features, _ = make_episode()
    tensors, wide = weights(episode), dataclasses.replace(PAPER, top_k=None)
    scores = (features @ tensors["image_map"]).relu() @ (tensors["texts"] @ tensors["text_map"]).relu().T

    scaled = pass_through(dataclasses.replace(wide, scale_scores=True), tensors, features)

    torch.testing.assert_close(scaled.alpha, (scores / 4).softmax(1))
    torch.testing.assert_close(pass_through(wide, tensors, features).alpha, scores.softmax(1))


def test_the_gate_hangs_on_no_label() -> None:
    episode, features, _ = make_episode()
    other = dataclasses.replace(episode, labels=episode.labels.flip(0))

    ours, theirs = (pass_through(PAPER, weights(one), features).alpha for one in (episode, other))

    assert torch.equal(ours, theirs)


def test_the_linear_classifier_starts_as_zero_shot_where_texts_share_the_space() -> None:
    shared, other = make_episode()[0], make_episode(texts="other")[0]

    torch.testing.assert_close(weights(shared)["classifier"], shared.texts.prototypes(5))
    assert not weights(other)["classifier"].any()


def test_val_is_looked_at_every_so_many_steps_and_at_the_end_of_each_pass() -> None:
    episode, _, _ = make_episode(shots=8)
    settings = dataclasses.replace(PAPER, epochs=2, batch_size=16, look_every=3)

    steps = [step for step, _ in published._learn(settings, episode, weights(episode))]

    # 40 pictures, 8 a step, make 5 steps a pass
    assert steps == [3, 5, 6, 9, 10]


def test_text_batches_show_each_text_as_often_as_any_other() -> None:
    batches = published._endless(5, 3, torch.Generator().manual_seed(0))

    seen = torch.cat([next(batches) for _ in range(10)])

    assert torch.bincount(seen).tolist() == [6] * 5


def test_learning_lowers_the_stated_loss() -> None:
    episode, _, _ = make_episode()
    settings = dataclasses.replace(PAPER, scored="nearest", epochs=40, lr=1e-2, lr_step=40)
    start = weights(episode)
    looks = list(published._learn(settings, episode, {name: part.clone() for name, part in start.items()}))

    def loss(tensors: dict[str, torch.Tensor]) -> float:
        passed = pass_through(settings, tensors, episode.features)
        return float(losses(settings, passed, episode.features, episode.labels, TEXT_LABELS)["total"])

    assert loss(looks[-1][1]) < 0.8 * loss(start)


def test_the_nearest_head_scores_by_the_cosine_to_the_class_text_as_projected() -> None:
    episode, features, _ = make_episode()
    settings, tensors = dataclasses.replace(PAPER, scored="nearest"), weights(episode)
    passed = pass_through(settings, tensors, features)

    found = published.score(settings, tensors, features)

    cosines = normalize(passed.written, dim=1) @ normalize(passed.targets, dim=1).T
    torch.testing.assert_close(found, 100 * cosines)


def test_raw_texts_of_another_width_cannot_be_aligned_with() -> None:
    episode, _, _ = make_episode(texts="other")

    with pytest.raises(UsageError, match="they have 7 and 16 numbers"):
        published.fit(dataclasses.replace(PAPER, align_target="raw"), episode)


def test_what_was_best_on_val_is_kept_as_it_was_then() -> None:
    episode, _, _ = make_episode()
    settings = dataclasses.replace(PAPER, epochs=8)

    fitted = published.fit(settings, episode)

    looks = {
        step: {name: part.clone() for name, part in tensors.items()}
        for step, tensors in published._learn(settings, episode, weights(episode))
    }
    right = {
        step: int(
            (published.score(settings, tensors, episode.val_features).argmax(1) == episode.val_labels).sum()
        )
        for step, tensors in looks.items()
    }
    first_best = min(step for step in right if right[step] == max(right.values()))
    assert fitted.chosen == {"step": first_best}
    for name, tensor in looks[first_best].items():
        assert torch.equal(fitted.tensors[name], tensor), name


def test_random_unit_vectors_have_half_their_length_below_nothing() -> None:
    vectors = random_unit(500, 64, 3)

    assert float(vectors.clamp(max=0).square().sum(1).mean()) == pytest.approx(0.5, abs=0.02)
