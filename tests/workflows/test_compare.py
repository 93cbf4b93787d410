"""Runs side by side: the numbers of evaluate, the tests against the first, and seeds as one row."""

import json
import shutil
import statistics
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mmx.core.errors import ArtifactError, UsageError
from mmx.core.home import Home
from mmx.store.run import RunFolder
from mmx.store.sealed import read_sealed, write_sealed
from mmx.workflows import rankings
from mmx.workflows.compare import Compared, CompareSettings, compare_runs
from mmx.workflows.evaluate import EvaluateSettings, evaluate
from mmx.workflows.label_files import LabelTable, label_file, load_labels, save_labels
from mmx.workflows.labelled import SortedSplit, TaggedSplit
from tests.typed import typed
from tests.workflows.evaluated_home import fresh_home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Runs `first` and `second` of two seeds, and `other` that says it had another dropout than `second`."""
    home = fresh_home(tmp_path / "home")
    copied(home, "second", "other", settings={"dropout": 0.05})
    return home


def copied(home: Home, run: str, name: str, **changes: object) -> None:
    """A run with another record; `settings` are added to its own."""
    shutil.copytree(home.runs / run, home.runs / name)
    path = home.runs / name / "settings.json"
    facts = read_sealed(path, "")
    settings = {**facts["settings"], **changes.pop("settings", {})}
    write_sealed(path, {**facts, **changes, "settings": settings})


def compared(home: Home, reporter, *runs: str, **more: object) -> Compared:
    return compare_runs(CompareSettings(home, tuple(map(Path, runs)), device="cpu", **more), reporter)


def test_runs_that_differ_by_seed_stand_as_one_row_with_mean_and_spread(home: Home, reporter) -> None:
    alone = [
        evaluate(EvaluateSettings(home, Path(run), device="cpu"), reporter) for run in ("first", "second")
    ]

    (row,) = compared(home, reporter, "second", "first").rows

    assert row.seeds == (0, 1) and [Path(run).name for run in row.runs] == ["first", "second"]
    for name, value in row.metrics.items():
        reached = [found.metrics[name] for found in alone]
        assert value == pytest.approx(statistics.fmean(reached))
        assert row.deviations[name] == pytest.approx(statistics.stdev(reached))
    low, high = row.intervals["rsum"]
    assert low <= row.metrics["rsum"] <= high and row.differences is None


def test_a_row_of_one_run_has_the_numbers_of_evaluate_and_the_test_of_its_compare(
    home: Home, reporter
) -> None:
    asked = EvaluateSettings(home, Path("first"), compare=Path("other"), device="cpu")
    found = evaluate(asked, reporter)

    first, other = compared(home, reporter, "other", "first").rows

    assert (first.name, other.name) == ("other", "first")
    assert other.metrics == found.metrics and other.intervals == found.intervals
    assert other.differences == found.comparison.differences
    assert other.differs == {"dropout": (0.3, 0.05)} and first.differs == {}


def test_what_is_kept_is_not_encoded_again(home: Home, reporter, monkeypatch: pytest.MonkeyPatch) -> None:
    before = compared(home, reporter, "first", "other")

    with monkeypatch.context() as patch:
        patch.setattr(rankings, "embed", lambda *given: pytest.fail("it was encoded again"))
        assert compared(home, reporter, "first", "other").rows == before.rows

    embedded = []
    original = rankings.embed
    monkeypatch.setattr(rankings, "embed", lambda run, *g: embedded.append(run.name) or original(run, *g))
    copied(home, "other", "later", settings={"dropout": 0.1})
    compared(home, reporter, "first", "later")
    assert embedded == ["later"], "its ranks are of other settings"


def test_the_mean_of_equal_seeds_differs_by_nothing_and_a_seed_is_not_counted_twice(
    home: Home, reporter
) -> None:
    copied(home, "first", "replayed")

    rows = compared(home, reporter, "first", "second", "replayed").rows

    assert [row.seeds for row in rows] == [(0, 1), (0,)]
    test = rows[1].differences["rsum"]
    half = (rows[1].metrics["rsum"] - evaluated(home, "second", reporter)) / 2
    assert test.difference == pytest.approx(half)


def evaluated(home: Home, run: str, reporter) -> float:
    return evaluate(EvaluateSettings(home, Path(run), device="cpu"), reporter).metrics["rsum"]


@pytest.mark.parametrize(
    ("runs", "error", "words"),
    [
        (("first",), UsageError, "it takes two runs to compare"),
        (("first", "first"), UsageError, "'.*first' would be compared with itself"),
        (("first", "stranger"), ArtifactError, "have different queries.*--dataset NAME"),
        (("first", "nowhere"), ArtifactError, "no run at 'nowhere'"),
        (("first", "tagger"), ArtifactError, "trained for retrieval and '.*tagger' for tagging"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    runs: tuple[str, ...], error: type, words: str, home: Home, reporter
) -> None:
    copied(home, "second", "tagger", tasks=["tagging"])

    with pytest.raises(error, match=words):
        compared(home, reporter, *runs)


def test_runs_of_different_data_are_compared_on_a_dataset_named_for_both(home: Home, reporter) -> None:
    found = compared(home, reporter, "first", "stranger", dataset="other", split="test")

    assert (found.facts["dataset"], found.facts["split"]) == ("other", "test")
    assert found.rows[1].differs == {"dataset": ("other", "small")}


def test_seeds_of_what_was_begun_from_seeds_are_one_setting_too(home: Home, reporter) -> None:
    for name, start in (("tuned-1", "first"), ("tuned-2", "second")):
        run = RunFolder.open(home.runs / start)
        init = {"run": str(run.path), "fingerprint": run.fingerprint}
        copied(home, start, name, init=init, settings={"dropout": 0.05})

    rows = compared(home, reporter, "first", "tuned-1", "tuned-2").rows

    assert [row.name for row in rows] == ["first", "tuned"]
    assert rows[1].differs == {"dropout": (0.05, 0.3), "init": ("first", None)}


def test_at_the_keyboard_runs_stand_side_by_side_and_say_what_they_differ_in(
    home: Home, monkeypatch, capsys
) -> None:
    words = ("compare", "first", "second", "other", "--home", home.root, "--device", "cpu")

    code, out, _ = typed(monkeypatch, capsys, *words)
    assert code == 0 and "retrieval on small val: 10 items" in out
    for said in (
        "first (2 seeds)",
        "other",
        " ± ",
        " p ",
        "other differs from the first: dropout 0.05, not 0.3",
    ):
        assert said in out
    assert "first: seeds 0, 1: " in out and "less the first" in out and "draw items, not seeds" in out
    code, out, _ = typed(monkeypatch, capsys, *words, "--json")
    found = json.loads(out)
    assert code == 0 and found["schema"] == "mmx.compare/1" and found["primary_metric"] == "rsum"
    assert found["rows"][0]["seeds"] == [0, 1] and found["rows"][0]["differences"] is None
    assert found["rows"][1]["differences"]["rsum"].keys() == {"difference", "low", "high", "p"}
    code, out, err = typed(monkeypatch, capsys, "compare", "first", "--home", home.root)
    assert (code, out) == (2, "") and "it takes two runs" in err


TAGGED = TaggedSplit([("B-PER", "O"), ("O",), ()], [("O", "O"), ("B-LOC",), ()], 1)
SORTED = SortedSplit(["bad", "good"], torch.tensor([0, 1, 1]), torch.tensor([1, 1, 0]), 2)


@pytest.mark.parametrize("found", [TAGGED, SORTED], ids=["tags", "classes"])
def test_labels_that_were_kept_give_the_same_numbers(
    found: TaggedSplit | SortedSplit, tmp_path: Path
) -> None:
    table = LabelTable(found, "weights", "posts", "manifest", "val", "tagging", "f1_strict")
    wanted = {
        "fingerprint": "weights",
        "dataset": "posts",
        "manifest_fingerprint": "manifest",
        "split": "val",
    }

    save_labels(tmp_path, table)

    read = load_labels(tmp_path, wanted)
    assert read.metrics == table.metrics and read.about == table.about
    assert read.intervals(3) == table.intervals(3) and read.found.remarks == found.remarks
    assert load_labels(tmp_path, {**wanted, "fingerprint": "others"}) is None
    assert load_labels(tmp_path / "nowhere", wanted) is None
    file = label_file(tmp_path, "posts", "val")
    file.write_bytes(file.read_bytes()[:60])
    with pytest.raises(ArtifactError, match=r"posts-val\.safetensors"):
        load_labels(tmp_path, wanted)


def test_the_order_of_classes_does_not_count_but_other_classes_do() -> None:
    turned = SortedSplit(["good", "bad"], 1 - SORTED.gold, 1 - SORTED.predicted, 2)
    more = replace(SORTED, classes=["bad", "good", "odd"])

    assert SORTED.sums.same_items(turned.sums) and not SORTED.sums.same_items(more.sums)
