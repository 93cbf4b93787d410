"""The training loop: what it learns, what it leaves alone, and that stopping anywhere changes nothing."""

import contextlib
import json
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

from mmx.core.errors import ArtifactError, Interrupted, ResourceError, TrainingError, UsageError
from mmx.engine.train_options import TrainOptions
from mmx.store.checkpoint import load_weights, read_weights
from tests.engine.stub_training import (
    EVERYTHING,
    Training,
    contrast,
    make_data,
    make_model,
    make_run,
    read_log,
    stage,
)


class Killed(RuntimeError):
    """Stands for the end of the process."""


def killed_after(calls: int):
    """The stub's loss, until the process dies."""
    left = [calls]

    def loss(model, batch, progress):
        left[0] -= 1
        if left[0] < 0:
            raise Killed
        return contrast(model, batch, progress)

    return loss


def states(path: Path) -> dict[str, torch.Tensor]:
    """All tensors of a run: its best weights and its last state."""
    folder = sorted((path / "state").iterdir())[-1]
    files = [path / "model.safetensors", *folder.glob("*.safetensors")]
    return {f"{file.name}:{name}": tensor for file in files for name, tensor in read_weights(file).items()}


def assert_same_run(left: Path, right: Path) -> None:
    ours, theirs = states(left), states(right)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert read_log(left) == read_log(right)
    assert (left / "metrics.json").read_text() == (right / "metrics.json").read_text()


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("unbroken") / "run"
    Training(path)()
    return path


@pytest.mark.parametrize("seed", range(6))
def test_a_training_that_died_anywhere_and_went_on_equals_the_unbroken_one_bit_for_bit(
    seed: int, unbroken: Path, tmp_path: Path
) -> None:
    """Two deaths at random, in the midst of epochs and of stages."""
    points = random.Random(seed)
    for _ in range(2):
        with contextlib.suppress(Killed):
            Training(tmp_path / "run", loss=killed_after(points.randrange(1, 20)))()

    Training(tmp_path / "run", model=make_model(seed + 5))()

    assert_same_run(tmp_path / "run", unbroken)


def test_a_training_killed_by_the_system_goes_on_bit_for_bit(unbroken: Path, tmp_path: Path) -> None:
    """kill -9 at any moment, writing of states included: this one writes one after each step."""
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import torch; torch.set_num_threads(1)\n"
        "from pathlib import Path; from stub_training import *\n"
        f"print('ready', flush=True); sys.stdin.readline(); Training(Path({str(tmp_path / 'run')!r}))()\n"
    )
    points = random.Random(1)
    for _ in range(2):
        process = subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
        )
        process.stdout.readline()
        process.stdin.write("go\n")
        process.stdin.flush()
        time.sleep(points.uniform(0.01, 0.3))
        process.kill()
        process.communicate()

    Training(tmp_path / "run")()

    assert_same_run(tmp_path / "run", unbroken)
    assert not list((tmp_path / "run").rglob(".mmx-tmp-*"))


def test_a_finished_training_stays_as_it_is_when_it_is_resumed(unbroken: Path) -> None:
    before = states(unbroken)

    result = Training(unbroken)()

    assert result.metrics == json.loads((unbroken / "metrics.json").read_text())["val"]
    assert all(torch.equal(tensor, before[name]) for name, tensor in states(unbroken).items())


def test_the_log_has_each_step_once_and_an_epoch_line_for_each_epoch(unbroken: Path) -> None:
    """6 batches an epoch, 2 epochs and 3: 12 + 18 steps, of which every second one is logged."""
    log = read_log(unbroken)

    assert [line["step"] for line in log if line["kind"] == "step"] == [*range(2, 32, 2)]
    assert [(line["stage"], line["epoch"]) for line in log if line["kind"] == "epoch"] == [
        ("first", 1), ("first", 2), ("second", 1), ("second", 2), ("second", 3)
    ]  # fmt: skip
    assert set(log[0]) == {"kind", "stage", "epoch", "step", "loss", "grad_norm", "clip_share", "lr"}
    assert set(log[0]["loss"]) == {"total", "i2t", "t2i"}


def test_the_last_steps_of_a_stage_have_a_line_of_their_own(tmp_path: Path) -> None:
    """6 steps a stage: with a line every fourth, none spans both stages and none is lost."""
    stages = [stage("a", epochs=1), stage("b", epochs=1)]
    Training(tmp_path / "run", stages=stages, options=TrainOptions(log_every=4))()

    lines = [line for line in read_log(tmp_path / "run") if line["kind"] == "step"]
    assert [(line["stage"], line["step"]) for line in lines] == [("a", 4), ("a", 6), ("b", 8), ("b", 12)]


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(tmp_path: Path) -> None:
    runs = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        Training(tmp_path / name, stages=[stage()], options=TrainOptions(seed=seed))()
        runs.append(read_weights(tmp_path / name / "model.safetensors")["image.0.weight"])

    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


def test_a_batch_is_learnt_by_heart(tmp_path: Path) -> None:
    data = make_data(images=6)
    plain = stage(batch_size=6, captions_per_image=None, epochs=40, lr=0.1, clip_norm=None)

    Training(tmp_path / "run", stages=[plain], data=data, options=TrainOptions(log_every=1))()

    losses = [line["loss"]["total"] for line in read_log(tmp_path / "run") if line["kind"] == "step"]
    assert losses[-1] < 0.5 * losses[0]


def test_parameters_outside_the_stage_do_not_move_and_are_free_again_afterwards(tmp_path: Path) -> None:
    model = make_model()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}

    Training(tmp_path / "run", stages=[stage(prefixes=("image",))], model=model)()

    moved = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert moved == {"image.0.weight", "image.0.bias", "seen"}
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_a_part_that_trains_nothing_has_no_dropout(tmp_path: Path) -> None:
    seen = []

    def loss(model, batch, progress):
        seen.append((model.image[1].training, model.text[0].training))
        return contrast(model, batch, progress)

    Training(tmp_path / "run", stages=[stage(prefixes=("image",), epochs=1)], loss=loss)()

    assert set(seen) == {(True, False)}


def test_the_kept_weights_are_those_with_the_best_val_metric(tmp_path: Path) -> None:
    Training(tmp_path / "run", stages=[stage(epochs=6, lr=0.5)])()

    epochs = [line for line in read_log(tmp_path / "run") if line["kind"] == "epoch"]
    best = max(epochs, key=lambda line: line["val"]["rsum"])
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert (metrics["epoch"], metrics["val"]) == (best["epoch"], best["val"])


@pytest.mark.parametrize("from_best", [False, True])
def test_a_stage_begins_with_the_last_weights_or_with_the_best_ones(tmp_path: Path, from_best: bool) -> None:
    """Val falls from the first epoch on, so that its weights are the best ones."""
    marks, begins = iter([9.0, 5.0, 1.0]), []

    def loss(model, batch, progress):
        begins.append(model.text[0].weight.detach().clone())
        return contrast(model, batch, progress)

    path = tmp_path / "run"
    stages = [stage("first", epochs=2), stage("second", epochs=1, from_best=from_best)]
    Training(path, stages=stages, loss=loss, validate=lambda model: {"rsum": next(marks)})()

    first_of_second = begins[2 * len(begins) // 3]
    best = read_weights(path / "model.safetensors")["text.0.weight"]
    assert torch.equal(first_of_second, best) == from_best


def test_with_an_average_the_average_is_what_is_measured_and_kept(tmp_path: Path) -> None:
    model = make_model()

    Training(tmp_path / "run", stages=[stage(epochs=1, average=0.9)], model=model)()

    kept = read_weights(tmp_path / "run" / "model.safetensors")
    assert all(torch.equal(kept[name], tensor) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_ends_training_names_the_batch_and_keeps_the_last_state(
    value: float, tmp_path: Path
) -> None:
    calls = [0]

    def loss(model, batch, progress):
        calls[0] += 1
        losses = contrast(model, batch, progress)
        return losses | {"total": losses["total"] * (value if calls[0] == 9 else 1)}

    with pytest.raises(TrainingError, match=r"the loss became (nan|inf) at step 9 \(epoch 2\)") as caught:
        Training(tmp_path / "run", stages=[stage()], loss=loss)()

    report = json.loads((tmp_path / "run" / "diverged.json").read_text())
    assert caught.value.exit_code == 5
    assert len(report["records"]) == 4 and set(report["records"]) <= {f"r{i}" for i in range(23)}
    assert (report["step"], report["epoch"]) == (9, 2) and report["last_finite_loss"] > 0
    load_weights(tmp_path / "run" / "model.safetensors", make_model(1))
    Training(tmp_path / "run", stages=[stage()])()


def test_a_gradient_that_is_no_number_ends_training_before_it_reaches_the_weights(tmp_path: Path) -> None:
    model = make_model()

    def loss(model, batch, progress):
        return {"total": (model.log_scale - model.log_scale.detach()).sqrt().sum()}

    with pytest.raises(TrainingError, match="the gradient became"):
        Training(tmp_path / "run", stages=[stage()], loss=loss, model=model)()
    assert torch.equal(model.log_scale, make_model().log_scale)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_finishes_the_step_saves_and_says_how_to_go_on(
    number: int, unbroken: Path, tmp_path: Path
) -> None:
    calls, finished = [0], []

    def loss(model, batch, progress):
        calls[0] += 1
        if calls[0] == 8:
            os.kill(os.getpid(), number)
        losses = contrast(model, batch, progress)
        finished.append(calls[0])
        return losses

    before = signal.getsignal(number)
    with pytest.raises(Interrupted, match="mmx train --resume") as caught:
        Training(tmp_path / "run", loss=loss)()
    assert caught.value.exit_code == 130
    assert finished[-1] == 8, "the step is done to its end"
    assert signal.getsignal(number) is before

    Training(tmp_path / "run")()
    assert_same_run(tmp_path / "run", unbroken)


def test_a_second_ctrl_c_stops_at_once(tmp_path: Path) -> None:
    def loss(model, batch, progress):
        # Python hears a signal between two instructions: a second one before that would be the same one.
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.05)
        return contrast(model, batch, progress)

    # A suite that a shell runs in the background has Ctrl-C switched off from the start.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            Training(tmp_path / "run", loss=loss)()
    finally:
        signal.signal(signal.SIGINT, before)


def test_training_works_outside_the_main_thread_where_there_are_no_signals(tmp_path: Path) -> None:
    results = []
    thread = threading.Thread(
        target=lambda: results.append(Training(tmp_path / "run", stages=[stage(epochs=1)])())
    )
    thread.start()
    thread.join()

    assert results[0].epoch == 1


def test_two_writers_on_one_run_the_second_fails_at_once(tmp_path: Path) -> None:
    with make_run(tmp_path / "run").locked(), pytest.raises(ArtifactError, match="another process") as caught:
        Training(tmp_path / "run")()
    assert str(os.getpid()) in str(caught.value)


def test_a_full_disk_ends_with_exit_6_and_leaves_the_state_before_it(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(Killed):
        Training(run, loss=killed_after(7))()
    before = states_only(run)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (700, limits[1]))
    try:
        with pytest.raises(ResourceError, match="no space left") as caught:
            Training(run)()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert caught.value.exit_code == 6
    assert states_only(run) == before
    assert not list(run.rglob(".mmx-tmp-*"))
    Training(run)()


def states_only(path: Path) -> dict[str, bytes]:
    files = sorted(file for file in (path / "state").rglob("*") if file.is_file())
    return {str(file.relative_to(path)): file.read_bytes() for file in files}


def test_a_truncated_state_is_refused(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(Killed):
        Training(run, loss=killed_after(7))()
    file = next((run / "state").rglob("weights.safetensors"))
    file.write_bytes(file.read_bytes()[:-8])

    with pytest.raises(ArtifactError, match="not a whole safetensors file"):
        Training(run)()


def test_a_prefix_that_fits_no_parameter_is_named_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"no parameter begins with 'picture'\. The model has: image, log_scale, text"
    ):
        Training(tmp_path / "run", stages=[EVERYTHING[0], stage("late", ("picture",))])()
    assert not (tmp_path / "run" / "state").exists()


def test_a_training_without_epochs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing to train"):
        Training(tmp_path / "run", stages=[stage(epochs=0)])()


def test_progress_runs_from_zero_to_one_over_all_stages(tmp_path: Path) -> None:
    seen = []

    def loss(model, batch, progress):
        seen.append(progress)
        return contrast(model, batch, progress)

    Training(tmp_path / "run", stages=[stage("a", epochs=1), stage("b", epochs=1)], loss=loss)()

    assert seen == [step / 12 for step in range(12)]


def test_a_gradient_above_the_limit_is_clipped_and_counted(tmp_path: Path) -> None:
    shares = {}
    for name, limit in (("tight", 1e-3), ("loose", 1e3)):
        Training(
            tmp_path / name, stages=[stage(epochs=1, clip_norm=limit)], options=TrainOptions(log_every=1)
        )()
        shares[name] = {line["clip_share"] for line in read_log(tmp_path / name) if line["kind"] == "step"}

    assert shares == {"tight": {1.0}, "loose": {0.0}}


def test_bf16_trains_with_weights_kept_in_fp32(tmp_path: Path) -> None:
    options = TrainOptions(precision="bf16")

    Training(tmp_path / "run", stages=[stage(epochs=1)], options=options)()

    kept = read_weights(tmp_path / "run" / "model.safetensors")
    assert {tensor.dtype for tensor in kept.values()} == {torch.float32}
