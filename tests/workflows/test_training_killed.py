"""A training that dies anywhere and goes on equals the unbroken one: every method, every stage, every bit."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from mmx.store.checkpoint import read_weights
from mmx.store.run import RunFolder
from tests.workflows.killed_training import (
    CASES,
    Killed,
    counted,
    fit,
    fitted,
    prepared,
    unbroken,
    what_differs,
)

EXAMPLES = int(os.environ.get("MMX_TEST_KILLS", "2"))
"""How many trainings of each method die; a longer search asks for more."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the drawn corpus and all runs of this file are."""
    return tmp_path_factory.mktemp("killed")


@pytest.mark.parametrize("case", CASES)
def test_a_training_that_dies_at_any_two_moments_and_goes_on_equals_the_unbroken_one(
    case: str, folder: Path, tmp_path: Path
) -> None:
    whole, moments = unbroken(case, folder)
    tried = []

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=EXAMPLES <= 2,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(deaths=st.lists(st.integers(1, moments), min_size=1, max_size=2))
    def law(deaths: list[int]) -> None:
        path = tmp_path / str(len(tried))
        tried.append(deaths)
        for turn, death in enumerate(deaths):
            with contextlib.suppress(Killed), counted(lambda number, death=death: die(number - death)):
                prepared(case, folder).train(path, turn)
        prepared(case, folder).train(path, len(deaths))
        assert what_differs(whole, path) == []

    law()
    assert tried


def test_a_classifier_that_dies_at_any_moment_is_there_whole_or_not_at_all(
    folder: Path, tmp_path: Path
) -> None:
    whole, moments = fitted(folder)
    expected, drawn = read_weights(whole / "model.safetensors"), range(1, moments + 1, 3)
    for death in drawn:
        path = tmp_path / str(death)
        with contextlib.suppress(Killed), counted(lambda number, death=death: die(number - death)):
            fit(folder, path)

        if not (path / "settings.json").is_file():
            fit(folder, path)

        found = read_weights(path / "model.safetensors")
        assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
        assert RunFolder.open(path).metrics() == RunFolder.open(whole).metrics()
    assert moments > 4


def die(left: int) -> None:
    if left == 0:
        raise Killed


@pytest.mark.skipif("MMX_TEST_KILLS" not in os.environ, reason="minutes; set MMX_TEST_KILLS to how many")
def test_trainings_killed_by_the_system_go_on_bit_for_bit(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.workflows.killed_training", str(tmp_path), str(EXAMPLES)]

    found = subprocess.run(command, capture_output=True, text=True, check=True)

    answers = [json.loads(line) for line in found.stdout.splitlines()]
    assert [answer["case"] for answer in answers] == list(CASES)
    assert [answer["differs"] for answer in answers] == [[]] * len(CASES)
    assert all(answer["deaths"] for answer in answers)
