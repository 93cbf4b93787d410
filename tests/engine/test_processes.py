"""Several processes that train: they learn what one learns, stop together, and miss a fellow that is gone."""

import dataclasses
import json
import os
import signal
import threading
from functools import partial
from pathlib import Path

import pytest
import torch

from mmx.core.errors import DataError, Interrupted, SaidElsewhere, TrainingError, UsageError
from mmx.core.launch import Launch, find_launch, is_lonely
from mmx.engine.stage_plan import plan_stages
from mmx.store.images import ImageError
from tests.engine.jobs import StubJob, Weights, make_sure, train_method
from tests.engine.launched import Crew, together
from tests.engine.stub_training import EVERYTHING, make_data, make_method, read_log, stage

METHODS = {
    "attention-clip": {},
    "mh-cvse": {},
    "region-align": {},
    "muse": {"task": "tagging"},
}


def assert_close(found: Weights, wanted: Weights) -> None:
    assert found.keys() == wanted.keys()
    for name in wanted:
        torch.testing.assert_close(found[name], wanted[name], rtol=0, atol=1e-10, msg=name)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Weights]:
    """One process that trains to the end: 30 steps in two stages; the last batch of an epoch has 3 images."""
    path = tmp_path_factory.mktemp("alone") / "run"
    return path, StubJob(path, EVERYTHING)()


def test_two_processes_learn_what_one_learns_and_write_one_run(
    alone: tuple[Path, Weights], tmp_path: Path
) -> None:
    path, weights = alone

    for found in together(StubJob(tmp_path / "run", EVERYTHING)):
        assert_close(found, weights)

    ours, theirs = (read_log(folder) for folder in (tmp_path / "run", path))
    assert [line["step"] for line in ours] == [line["step"] for line in theirs]
    assert ours[0]["loss"] == pytest.approx(theirs[0]["loss"], abs=1e-6)
    assert {file.name for file in (tmp_path / "run").rglob("*")} == {file.name for file in path.rglob("*")}


def kill_second(step: int, rank: int) -> None:
    """kill -9 in the midst of the first epoch of the second stage."""
    if (step, rank) == (15, 1):
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_process_ends_the_other_and_one_process_goes_on_with_what_two_began(
    alone: tuple[Path, Weights], tmp_path: Path
) -> None:
    job = partial(StubJob, tmp_path / "run", EVERYTHING)
    error, nothing = together(job(in_step=kill_second))

    assert isinstance(error, TrainingError) and error.exit_code == 5
    assert "another process of this training is gone" in str(error) and "--resume" in str(error)
    assert nothing is None
    assert_close(job()(), alone[1])


def give_up(step: int, rank: int) -> None:
    if step == 15:
        raise UsageError("enough")


def test_two_processes_go_on_with_what_one_began(alone: tuple[Path, Weights], tmp_path: Path) -> None:
    job = partial(StubJob, tmp_path / "run", EVERYTHING)
    with pytest.raises(UsageError):
        job(in_step=give_up)()

    for found in together(job()):
        assert_close(found, alone[1])


def ask_second_to_stop(step: int, rank: int) -> None:
    if (step, rank) == (3, 1):
        os.kill(os.getpid(), signal.SIGTERM)


def test_a_signal_to_any_process_stops_all_after_the_step_and_the_first_one_says_so(tmp_path: Path) -> None:
    first, second = together(StubJob(tmp_path / "run", in_step=ask_second_to_stop))

    assert isinstance(first, Interrupted) and "stopped after step 3 of 24" in str(first)
    assert isinstance(second, SaidElsewhere) and (second.exit_code, str(second)) == (130, "")
    (state,) = (tmp_path / "run" / "state").glob("*/state.json")
    assert json.loads(state.read_text())["step"] == 3


def spoil_second(data, rank: int) -> None:
    if rank == 1:
        data.images.features[:] = torch.nan


def test_a_loss_that_is_no_number_on_one_process_ends_all_and_is_reported_once(tmp_path: Path) -> None:
    first, second = together(StubJob(tmp_path / "run", break_data=spoil_second))

    assert isinstance(first, TrainingError) and "the loss became nan at step 1" in str(first)
    assert isinstance(second, SaidElsewhere) and second.exit_code == 5
    assert len(json.loads((tmp_path / "run" / "diverged.json").read_text())["records"]) == 4


def lose_pictures_of_second(data, rank: int) -> None:
    if rank == 1:
        object.__setattr__(data, "images", Unreadable())


class Unreadable:
    """Pictures that are gone."""

    def read(self, rows, variants):
        raise ImageError("empty file")


def test_what_one_process_cannot_read_ends_all_and_that_one_says_what(tmp_path: Path) -> None:
    first, second = together(StubJob(tmp_path / "run", break_data=lose_pictures_of_second))

    assert isinstance(second, DataError) and "can no longer be read: empty file" in str(second)
    assert isinstance(first, SaidElsewhere) and first.exit_code == second.exit_code


def take_long(model) -> dict[str, float]:
    threading.Event().wait(4)
    return {"rsum": 1.0}


def stop_moving(step: int, rank: int) -> None:
    if (step, rank) == (2, 1):
        os.kill(os.getpid(), signal.SIGSTOP)


def test_a_validation_may_take_longer_than_the_time_out_and_a_process_that_hangs_may_not(
    tmp_path: Path,
) -> None:
    """Both at a time: a validation of 4 s and a process that stands still, with 3 s of patience."""
    long = Crew(StubJob(tmp_path / "long", (stage(epochs=1),), patience=3, validate=take_long))
    hanging = Crew(StubJob(tmp_path / "hanging", patience=3, in_step=stop_moving))
    try:
        assert isinstance(hanging.said(0), TrainingError)
        first, second = long.said(0), long.said(1)
    finally:
        hanging.end()
        long.end()

    assert_close(first, second)


@pytest.fixture(scope="module")
def methods_in_two(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Weights]]:
    """Each method's tiny preset trained by two processes, all at a time."""
    folder = tmp_path_factory.mktemp("two")
    crews = {name: Crew(train_method, name, changes, folder / name) for name, changes in METHODS.items()}
    return {name: crew.all_said() for name, crew in crews.items()}


@pytest.mark.parametrize("name", METHODS)
def test_two_processes_learn_what_one_learns_whatever_the_method(
    name: str, methods_in_two: dict[str, list[Weights]], tmp_path: Path
) -> None:
    """20 steps and more with batches of 5 and 3, in float64 and without dropout."""
    weights = train_method(name, METHODS[name], tmp_path / "run")

    for found in methods_in_two[name]:
        assert_close(_that_matter(found), _that_matter(weights))


def _that_matter(weights: Weights) -> Weights:
    """All but biases before a batch norm, whose gradient is nothing but rounding, and the norm's own mean."""
    return {
        name: value
        for name, value in weights.items()
        if not name.endswith(("_gate.bias", "_norm.running_mean"))
    }


def test_a_norm_over_the_batch_cannot_be_cut() -> None:
    method = dataclasses.replace(make_method([stage()]), uncut=lambda settings: "norm=batch")

    with pytest.raises(UsageError, match=r"norm=batch measures every batch as a whole.*--chunk"):
        plan_stages(method, None, make_sure(), make_data(), seed=0, chunk=2)
    plan_stages(method, None, make_sure(), make_data(), seed=0)


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"RANK": "two", "WORLD_SIZE": "2"}, "RANK='two' is not a number"),
        ({"RANK": "2", "WORLD_SIZE": "2"}, "rank '2' of '2'"),
        ({"PMI_RANK": "-1", "PMI_SIZE": "2"}, "PMI_RANK='-1' is not a number"),
    ],
)
def test_a_launch_that_makes_no_sense_is_refused(variables: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        find_launch(variables)


def test_without_a_launcher_a_process_is_alone() -> None:
    assert find_launch({}) == Launch(0, 1, 0) and find_launch({}).first
    assert find_launch({"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "4"}) == Launch(1, 4, 0)


def test_accelerate_on_a_cpu_starts_one_process_of_several() -> None:
    asked = {"ACCELERATE_USE_CPU": "True", "MASTER_ADDR": "127.0.0.1"}

    assert is_lonely(asked)
    assert not is_lonely({**asked, "WORLD_SIZE": "2"}) and not is_lonely({})
