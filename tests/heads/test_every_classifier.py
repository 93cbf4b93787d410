"""Every few-shot classifier found, against what a classifier promises whichever it is."""

import dataclasses
import json

import pytest
import torch
from torch import Tensor

from mmx.core.classifier import ANY_TEXTS, NO_TEXTS, SHARED_TEXTS, Classifier, ShotSettings
from mmx.core.discover import find_classifiers
from mmx.core.settings import resolve
from tests.heads.episodes import make_episode

KNOWN = find_classifiers()
CASES = [(name, row) for name, known in KNOWN.items() for row in known.rows or ("",)]
QUICK = {"epochs": 3}
"""What makes a slow classifier quick."""

Case = tuple[Classifier, object]


@pytest.fixture(params=CASES, ids=lambda case: "/".join(filter(None, case)))
def case(request: pytest.FixtureRequest) -> Case:
    """A classifier with the settings of one row."""
    name, row = request.param
    known = KNOWN[name]
    names = {field.name for field in dataclasses.fields(known.settings)}
    quick = {setting: value for setting, value in QUICK.items() if setting in names}
    return known, resolve(known.settings, [(row, known.presets.get(row, {})), ("test", quick)], "")[0]


def scores(case: Case, texts: str = "shared", order: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Logits of unseen features, and their labels; `order` shuffles the shots."""
    known, settings = case
    episode, features, labels = make_episode(texts=texts)
    if order is not None:
        episode = dataclasses.replace(episode, features=episode.features[order], labels=episode.labels[order])
    return known.score(settings, known.fit(settings, episode).tensors, features), labels


def test_there_are_the_classifiers_that_are_promised() -> None:
    promised = {
        "zero-shot", "nearest-mean", "gaussian", "linear-probe", "cross-modal-probe", "tip-adapter",
        "tip-adapter-f", "lp-plus-plus", "clap", "dynamic-gating",
    }  # fmt: skip
    assert promised <= KNOWN.keys()


def test_its_settings_say_what_it_is_shown_and_survive_json(case: Case) -> None:
    known, settings = case

    assert issubclass(known.settings, ShotSettings) and known.summary
    kept = json.loads(json.dumps(dataclasses.asdict(settings)))
    assert resolve(known.settings, [("run", kept)], "")[0] == settings
    for field in dataclasses.fields(known.settings):
        assert field.metadata["help"] and field.metadata["source"], field.name


def test_logits_have_a_column_a_class_and_are_numbers(case: Case) -> None:
    logits, labels = scores(case)

    assert logits.shape == (len(labels), 5) and bool(logits.isfinite().all())


def test_equal_shots_and_seed_give_equal_numbers(case: Case) -> None:
    assert torch.equal(scores(case)[0], scores(case)[0])


def test_it_reads_no_label_when_it_scores(case: Case) -> None:
    known, settings = case
    episode, features, _ = make_episode()
    tensors = known.fit(settings, episode).tensors

    alone = torch.cat([known.score(settings, tensors, row[None]) for row in features[:5]])

    torch.testing.assert_close(alone, known.score(settings, tensors, features)[:5], atol=1e-3, rtol=1e-4)


def test_what_it_settled_is_plain(case: Case) -> None:
    known, settings = case

    chosen = dict(known.fit(settings, make_episode()[0]).chosen)
    assert json.loads(json.dumps(chosen, allow_nan=False)) == chosen


def test_it_can_be_fitted_without_validation_shots(case: Case) -> None:
    known, settings = case
    episode, features, _ = make_episode()
    empty = dataclasses.replace(
        episode, val_features=episode.val_features[:0], val_labels=episode.val_labels[:0]
    )

    assert bool(known.score(settings, known.fit(settings, empty).tensors, features).isfinite().all())


def test_it_can_be_fitted_to_one_shot_of_two_classes(case: Case) -> None:
    known, settings = case
    episode, features, _ = make_episode(classes=2, shots=1)

    assert bool(known.score(settings, known.fit(settings, episode).tensors, features).isfinite().all())


def test_the_inputs_are_left_as_they_are(case: Case) -> None:
    known, settings = case
    episode, _, _ = make_episode()
    before = episode.features.clone(), episode.texts.features.clone()

    known.fit(settings, episode)

    assert torch.equal(episode.features, before[0]) and torch.equal(episode.texts.features, before[1])
    assert not episode.texts.features.requires_grad


def test_full_batch_learning_does_not_hang_on_the_order_of_the_shots(case: Case) -> None:
    known, settings = case
    if getattr(settings, "recipe", "") == "paper" or ("batch_size" in vars(settings) and known.rows == ()):
        pytest.skip("learns in batches, whose order is part of it")
    order = torch.randperm(20, generator=torch.Generator().manual_seed(5))

    torch.testing.assert_close(scores(case, order=order)[0], scores(case)[0], atol=2e-2, rtol=1e-3)


def test_it_needs_no_more_texts_than_it_says(case: Case) -> None:
    known, settings = case
    needed = known.needs_texts(settings)
    assert needed in (NO_TEXTS, ANY_TEXTS, SHARED_TEXTS)

    for texts in {NO_TEXTS: ("none", "other"), ANY_TEXTS: ("other",), SHARED_TEXTS: ()}[needed]:
        assert bool(scores(case, texts)[0].isfinite().all())


def test_what_a_gate_opened_sums_to_one(case: Case) -> None:
    known, settings = case
    if known.explain is None:
        pytest.skip("chooses among nothing")
    episode, features, _ = make_episode()

    found = known.explain(settings, known.fit(settings, episode).tensors, features)

    torch.testing.assert_close(found.weights.sum(1), torch.ones(len(features)))
    assert found.reads in ("texts", "classes")
