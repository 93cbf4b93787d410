"""The comparison itself: what it may see, what it keeps, and that what is kept says what was measured."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy
import pytest
import torch

from mmx.core.errors import ArtifactError, UsageError
from mmx.core.home import Home
from mmx.core.reporter import SilentReporter
from mmx.store.manifest import Manifest
from mmx.store.run import RunFolder
from mmx.store.sealed import read_sealed, write_sealed
from mmx.tasks.classification import calibration_error
from mmx.workflows.evaluate import evaluate
from mmx.workflows.evaluate_settings import EvaluateSettings
from mmx.workflows.extract import ExtractSettings, extract
from mmx.workflows.fewshot import fewshot
from mmx.workflows.fewshot_settings import FewshotSettings
from mmx.workflows.head_run import open_head
from mmx.workflows.import_sources import ImportSource
from mmx.workflows.predict import PredictSettings, predict
from mmx.workflows.prepare import PrepareSettings, prepare
from mmx.workflows.shot_table import ShotTable, Trial, best_on_val
from tests.shot_files import NAMES, vectors_of, write_photos, write_published

QUIET = SilentReporter()
METHODS = ("gaussian", "nearest-mean", "linear-probe/random", "dynamic-gating/strong")


def taken_in(home: Home, folder: Path, name: str = "pets") -> Home:
    prepare(PrepareSettings(name, str(folder), home=home.root), QUIET)
    source = ImportSource(folder, as_embedding=True)
    extract(ExtractSettings(name, ("mine",), home=home, source=source), QUIET)
    return home


def compared(home: Home, **more: object) -> ShotTable:
    asked = {"shots": (4,), "seeds": (1, 2), "methods": METHODS, "device": "cpu"} | more
    return fewshot(FewshotSettings("pets", home=home, **asked), QUIET)


@pytest.fixture
def pets(home: Home, tmp_path: Path) -> Home:
    """A home with published features taken in."""
    return taken_in(home, write_published(tmp_path / "published"))


def learned(table: ShotTable) -> list[tuple]:
    return [(t.name, t.shots, t.seed, t.val_accuracy, t.val_loss, dict(t.chosen)) for t in table.trials]


def test_no_choice_sees_the_reported_split(pets: Home, tmp_path: Path) -> None:
    before = compared(pets)
    folder = write_published(tmp_path / "other")
    numpy.save(folder / "test_features.npy", vectors_of(torch.randint(0, 4, (80,)), 77).numpy())

    after = compared(taken_in(Home(tmp_path / "second"), folder))

    assert learned(before) == learned(after) and before.chosen == after.chosen
    assert [t.metrics for t in before.trials] != [t.metrics for t in after.trials]
    kept = [RunFolder.open(table.run).read_weights() for table in (before, after)]
    assert all(torch.equal(kept[0][name], kept[1][name]) for name in kept[0])


def test_rows_are_the_mean_and_the_deviation_over_seeds(pets: Home) -> None:
    table = compared(pets, shots=(1, 4))

    for shots in (1, 4):
        for row in table.rows(shots):
            found = [t.metrics["accuracy"] for t in table.trials if (t.name, t.shots) == (row.name, shots)]
            assert row.mean == pytest.approx(numpy.mean(found))
            assert row.deviation == pytest.approx(numpy.std(found, ddof=1))
    document = json.loads((table.run / "fewshot.json").read_text())
    assert document == json.loads(json.dumps(table.document())) and len(document["trials"]) == 16


def test_the_run_that_is_kept_says_of_test_what_the_table_said(pets: Home) -> None:
    table = compared(pets)
    trial = next(t for t in table.trials if (t.name, t.seed) == (table.chosen, 1))

    found = evaluate(EvaluateSettings(run=table.run, split="test", device="cpu", home=pets), QUIET)

    assert found.metrics["accuracy"] == pytest.approx(trial.metrics["accuracy"])
    low, high = found.intervals["accuracy"]
    assert low <= found.metrics["accuracy"] <= high
    assert [row["class"] for row in found.rows] == list(NAMES) and found.picture.is_file()


def test_probabilities_hold_better_than_those_of_the_bare_logits(pets: Home) -> None:
    table = compared(pets, methods=("nearest-mean",))
    head, labels = open_head(RunFolder.open(table.run)), torch.arange(4).repeat_interleave(200)
    unseen = vectors_of(labels, 5)

    calibrated = calibration_error(head.probabilities(unseen), labels)

    # cosines times 5 are far too doubtful
    bare = dataclasses.replace(head, temperature=20.0)
    assert calibrated < calibration_error(bare.probabilities(unseen), labels)


def test_of_val_what_was_chosen_on_is_not_reported(pets: Home) -> None:
    with pytest.raises(Exception, match="has no picture left to report on"):
        compared(pets, split="val")
    table = compared(pets, split="val", shots=(1,))
    assert table.trials[0].metrics["accuracy"] >= 0


def test_the_kept_run_labels_a_photo_as_its_stored_features_do(home: Home, tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", {"train": 4, "val": 2, "test": 3})
    prepare(PrepareSettings("pets", str(photos), home=home.root), QUIET)
    table = compared(home, encoder="random", methods=("gaussian",))

    found = predict(PredictSettings(table.run, (photos / "test",), device="cpu", home=home), QUIET)

    manifest = Manifest.open(home.dataset("pets"))
    said = {Path(photo.path).relative_to(photos).as_posix(): photo.label for photo in found.photos}
    right = [manifest.class_names[r.label] == said[r.image] for r in manifest.split("test")]
    trial = next(t for t in table.trials if t.seed == 1)
    assert 100 * sum(right) / len(right) == pytest.approx(trial.metrics["accuracy"])


def test_features_of_another_making_do_not_fit_a_run(pets: Home, tmp_path: Path) -> None:
    table = compared(pets)
    source = ImportSource(tmp_path / "published", as_embedding=False)
    extract(ExtractSettings("pets", ("mine",), home=pets, source=source, overwrite=True), QUIET)

    with pytest.raises(ArtifactError, match="learned from image_embedding of 'import:mine' with fingerprint"):
        evaluate(EvaluateSettings(run=table.run, split="test", device="cpu", home=pets), QUIET)


def test_a_run_of_a_classifier_that_is_no_more_is_told(pets: Home) -> None:
    table = compared(pets)
    path = table.run / "settings.json"
    write_sealed(path, read_sealed(path, "") | {"method": "tarot"})

    with pytest.raises(ArtifactError, match="was made by 'tarot' as this mmx does not have it"):
        open_head(RunFolder.open(table.run))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda tensors: tensors.pop("temperature"), "lacks parts of its classifier"),
        (lambda tensors: tensors.pop("head.bias"), "does not hold what 'gaussian' scores with"),
        (lambda tensors: tensors.update({"head.weight": torch.zeros(4, 9)}), "does not hold what 'gaussian'"),
        (
            lambda tensors: tensors.update({"head.weight": torch.zeros(3, 16), "head.bias": torch.zeros(3)}),
            "scores 3 classes and names 4",
        ),
    ],
)
def test_weights_that_do_not_fit_are_found_before_they_are_used(
    pets: Home, change: Callable[[dict], object], said: str
) -> None:
    run = RunFolder.open(compared(pets, methods=("gaussian",)).run)
    tensors = run.read_weights()
    change(tensors)
    run.write_weights(tensors, {})

    with pytest.raises(ArtifactError, match=said):
        open_head(run)


def test_a_folder_that_holds_something_is_found_before_any_work(pets: Home, tmp_path: Path) -> None:
    out = tmp_path / "full"
    out.mkdir()
    (out / "mine.txt").write_text("mine")

    with pytest.raises(UsageError, match="full"):
        compared(pets, out=out)
    assert [path.name for path in out.iterdir()] == ["mine.txt"]


def trial(name: str, accuracy: float, loss: float, shots: int = 4) -> Trial:
    return Trial(name, shots, 1, accuracy, loss, {"accuracy": 0.0, "macro_f1": 0.0}, 0.0, {})


def test_the_best_on_val_of_the_most_shots_is_kept_and_equals_go_by_their_loss() -> None:
    trials = [trial("a", 90, 0.5, 1), trial("a", 60, 0.5), trial("b", 70, 0.9), trial("c", 70, 0.8)]

    assert best_on_val(trials, ["a", "b", "c"]) == "c"
    assert best_on_val(trials, ["a", "b"]) == "b"
    assert best_on_val([trial("a", 70, 0.8), trial("b", 70, 0.8)], ["a", "b"]) == "a"
