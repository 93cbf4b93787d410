"""The run that comes with mmx is measured like any other, and its folder stays as it was installed."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mmx.core.home import Home
from mmx.core.reporter import SilentReporter
from mmx.store import run_record, shipped
from mmx.workflows.compare import CompareSettings, compare_runs
from mmx.workflows.evaluate import evaluate
from mmx.workflows.evaluate_settings import EvaluateSettings
from mmx.workflows.search import search
from mmx.workflows.search_settings import SearchSettings
from tests.workflows.evaluated_home import fresh_home

QUIET = SilentReporter()
NAME = "came-along"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return fresh_home(tmp_path / "home")


@pytest.fixture
def package(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package whose run is the first of the home, in a folder that nobody may write."""
    folder = tmp_path / "package"
    folder.mkdir()
    (home.runs / "first").rename(folder / NAME)
    for module in (shipped, run_record):
        monkeypatch.setattr(module, "SHIPPED", folder)
    whole = sorted(folder.rglob("*"), reverse=True)
    for path in whole:
        path.chmod(0o555 if path.is_dir() else 0o444)
    yield folder
    for path in whole:
        path.chmod(0o755)


def content(folder: Path) -> dict[str, tuple[bytes | None, int]]:
    """Every file and folder below it, byte for byte, and when it was changed."""
    return {
        str(path.relative_to(folder)): (
            path.read_bytes() if path.is_file() else None,
            path.stat().st_mtime_ns,
        )
        for path in (folder, *folder.rglob("*"))
    }


def test_what_is_measured_of_it_goes_under_the_home(package: Path, home: Home) -> None:
    before = content(package)
    asked = EvaluateSettings(home=home, run=Path(NAME), split="val", device="cpu")

    found = evaluate(asked, QUIET)
    evaluate(replace(asked, run=home.runs / "second", compare=Path(NAME)), QUIET)
    compared = compare_runs(CompareSettings(home, (Path(NAME), Path("second")), device="cpu"), QUIET)
    search(SearchSettings(query="red", run=Path(NAME), split="val", home=home, min_score="90%"), QUIET)

    assert content(package) == before
    kept = shipped.results_place(package / NAME, home)
    assert kept.is_relative_to(home.root)
    (recorded,) = run_record.read_json(kept / "metrics.json")["evaluations"]
    assert recorded["metrics"] == found.metrics and str(package / NAME) in str(compared.rows)
    names = {path.relative_to(kept).as_posix() for path in kept.rglob("*") if path.is_file()}
    assert {"ranks/small-val.safetensors", "gallery/val.safetensors", "calibration.json"} <= names


def test_its_ranks_are_taken_from_there_the_next_time(
    package: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = CompareSettings(home, (Path(NAME), Path("second")), device="cpu")
    once = compare_runs(asked, QUIET)

    def never(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr("mmx.workflows.rankings.embed", never)
    assert compare_runs(asked, QUIET).rows == once.rows


def test_a_run_of_the_home_keeps_its_results_itself(home: Home, tmp_path: Path) -> None:
    run = home.runs / "second"
    assert shipped.results_place(run, home) == run
    link = tmp_path / "link"
    os.symlink(next(shipped.SHIPPED.iterdir()), link)
    assert shipped.results_place(link, home).is_relative_to(home.root)
