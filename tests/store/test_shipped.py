"""The run that comes with mmx: whole, small, measured, and silent about the machine that made it."""

import json

import pytest

from mmx.store import shipped
from mmx.store.calibration import Calibration
from mmx.store.run import RunFolder
from mmx.store.shipped import shipped_run

LARGEST = 30_000_000


@pytest.fixture
def run() -> RunFolder:
    return RunFolder.open(shipped_run())


def test_it_is_small_and_has_its_card(run: RunFolder) -> None:
    assert sum(path.stat().st_size for path in run.path.iterdir()) < LARGEST
    card = (run.path / "README.md").read_text(encoding="utf-8")
    assert run.name in card and f"{run.weights.stat().st_size / 1e6:.1f} MB" in card


def test_what_it_reaches_and_its_cut_offs_are_of_these_weights(run: RunFolder) -> None:
    calibration = Calibration.open(run.path, run.fingerprint)
    assert calibration is not None and calibration.pictures == 1000
    measured = json.loads((run.path / "metrics.json").read_text(encoding="utf-8"))
    assert all(measured[split]["metrics"]["rsum"] > 300 for split in ("val", "test"))


def test_it_names_no_place_of_the_machine_that_made_it(run: RunFolder) -> None:
    for path in run.path.glob("*.json"):
        assert "/" not in path.read_text(encoding="utf-8").replace(run.facts["created"], "")


def test_a_package_without_one_has_none(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setattr(shipped, "SHIPPED", tmp_path)
    assert shipped_run() is None
