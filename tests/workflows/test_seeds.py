"""One training a seed: what is kept when one breaks, what is taken as it is, and what makes no sense."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mmx.core.errors import ArtifactError, Interrupted, TrainingError, UsageError
from mmx.core.home import Home
from mmx.core.reporter import Reporter
from mmx.store.run import RunFolder
from mmx.store.run_record import list_records
from mmx.workflows import seeds as workflow
from mmx.workflows.compare import CompareSettings, compare_runs
from mmx.workflows.method_settings import Wishes, resolve_method
from mmx.workflows.seeds import runs_of_seeds, train_seeds
from mmx.workflows.sweep import sweep
from mmx.workflows.train_settings import TrainSettings
from tests.typed import typed
from tests.workflows.evaluated_home import fresh_home

WISHES = Wishes(preset="tiny", assignments=("epochs=1",))


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The seeds that were trained: seed s reaches an rsum of 10 s. Seed 13 diverges, seed 99 is stopped."""
    done: list[int] = []

    def train(settings: TrainSettings, reporter: Reporter) -> None:
        resolved = resolve_method(settings.method, settings.wishes)
        facts = {"method": resolved.name, "dataset": "small", "manifest_fingerprint": "0", "towers": {}}
        more = {"tasks": ["retrieval"], "seed": settings.seed, "settings": vars(resolved.settings)}
        run = RunFolder.create(settings.out, {**facts, **more})
        if settings.seed == 13:
            raise TrainingError("the loss became nan at step 7")
        if settings.seed == 99:
            raise Interrupted("stopped after step 3")
        reached = {"primary_metric": "rsum", "val": {"rsum": 10.0 * settings.seed}}
        run.write_weights({"weight": torch.zeros(1)}, reached)
        (run.path / "curves.png").write_bytes(b"")
        done.append(settings.seed)

    monkeypatch.setattr(workflow, "train", train)
    return done


@pytest.fixture
def asked(tmp_path: Path) -> TrainSettings:
    return TrainSettings("attention-clip", "small", WISHES, out=tmp_path / "many", home=tmp_path)


def test_each_seed_has_a_folder_and_the_summary_mean_and_spread(trained, asked, reporter) -> None:
    found = train_seeds((1, 2, 6), asked, reporter)

    assert [Path(row.run).name for row in found.rows] == ["seed-1", "seed-2", "seed-6"]
    assert found.mean == {"rsum": 30.0} and found.deviation == {"rsum": pytest.approx(700**0.5)}
    kept = json.loads((asked.out / "seeds.json").read_text())
    assert kept["schema"] == "mmx.train-seeds/1" and kept["mean"] == {"rsum": 30.0}
    assert sorted(run.facts["seed"] for run in list_records(asked.out.parent)) == [1, 2, 6]
    assert [path.name for path in runs_of_seeds(asked.out, Home(asked.home))] == [
        "seed-1",
        "seed-2",
        "seed-6",
    ]


def test_a_sweep_over_seeds_has_the_mean_of_each_value(trained, asked, reporter) -> None:
    found = sweep("dropout=0.1,0.2", asked, reporter, (1, 13, 2))

    assert [row.metrics for row in found.rows] == [{"rsum": 15.0}] * 2 and trained == [1, 2, 1, 2]
    assert found.rows[0].deviation == {"rsum": pytest.approx(50**0.5)} and 13 in found.rows[1].broken
    assert (asked.out / "dropout-0.2" / "seed-2" / "settings.json").is_file()
    assert (asked.out / "sweep.png").read_bytes().startswith(b"\x89PNG")
    kept = json.loads((asked.out / "sweep.json").read_text())
    assert kept["rows"][0]["broken"] == {"13": "the loss became nan at step 7"}


def test_a_broken_seed_loses_no_other_ones_result(trained, asked, reporter) -> None:
    found = train_seeds((1, 13, 2), asked, reporter)

    assert trained == [1, 2] and found.mean == {"rsum": 15.0}
    assert found.rows[1].error == "the loss became nan at step 7" and found.broken[13].exit_code == 5
    with pytest.raises(TrainingError, match="became nan"):
        train_seeds((13,), replace(asked, out=asked.out.with_name("alone")), reporter)


def test_what_is_whole_is_taken_as_it_is_and_more_seeds_may_join(trained, asked, reporter) -> None:
    train_seeds((1, 2), asked, reporter)

    assert train_seeds((2, 1, 3), asked, reporter).mean == {"rsum": 20.0} and trained == [1, 2, 3]
    with pytest.raises(UsageError, match="was trained with other settings, data or seed"):
        train_seeds((1,), replace(asked, wishes=Wishes(preset="tiny")), reporter)


def test_a_stop_says_how_all_of_it_goes_on(trained, asked, reporter) -> None:
    with pytest.raises(Interrupted, match=r"stopped in seed 99, the 2\. of 3.*--out .*many"):
        train_seeds((1, 99, 2), asked, reporter)

    assert json.loads((asked.out / "seeds.json").read_text())["mean"] == {"rsum": 10.0}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"resume": Path("run")}, "--resume goes on with one run"),
        ({"seed": 0}, "--seed .* and --seeds were both given"),
        ({"dataset": None}, "name a method and a dataset"),
        ({"method": "atention-clip"}, "Did you mean 'attention-clip'"),
    ],
)
def test_what_makes_no_sense_with_seeds_is_refused(change: dict, words: str, asked, reporter) -> None:
    with pytest.raises(UsageError, match=words):
        train_seeds((1, 2), replace(asked, **change), reporter)

    assert not asked.out.exists()


def test_what_hinders_the_first_seed_before_it_begins_is_told_once(asked, reporter) -> None:
    with pytest.raises(ArtifactError, match="mmx prepare small"):
        train_seeds((1, 2), asked, reporter)


def test_at_the_keyboard_the_table_comes_before_the_exit_code_of_a_broken_seed(
    trained, asked, monkeypatch, capsys
) -> None:
    words = ("train", "attention-clip", "--dataset", "small", "--preset", "tiny", "--out", asked.out)

    code, out, err = typed(monkeypatch, capsys, *words, "--seeds", "1,13,3")

    assert code == 5 and "20.00 ± 14.14" in out and "seed 13 broke: the loss became nan" in out
    assert f"next: mmx compare {asked.out}" in out and "1 of 3 seeds broke; seed 13" in err
    code, out, err = typed(monkeypatch, capsys, *words, "--seeds", "0,0")
    assert (code, out) == (2, "") and "--seeds 0,0 is not possible" in err


def test_trainings_of_two_seeds_are_compared_as_one_row(tmp_path: Path, reporter) -> None:
    home = fresh_home(tmp_path / "home")
    asked = TrainSettings("attention-clip", "small", WISHES, device="cpu", home=home.root)

    found = train_seeds((1, 2), replace(asked, out=home.runs / "many"), reporter)

    table = compare_runs(CompareSettings(home, (Path("first"), Path("many")), device="cpu"), reporter)
    assert [row.seeds for row in table.rows] == [(0, 1, 2)]
    (row,) = compare_runs(CompareSettings(home, (Path("many"),), device="cpu"), reporter).rows
    assert row.metrics["rsum"] == pytest.approx(found.mean["rsum"]) and row.name == "many"
