"""Training from a prepared corpus to a run: who sets what, what a run remembers, and how it goes on."""

import json
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mmx.core.errors import ArtifactError, DeviceError, Interrupted, ResourceError, UsageError
from mmx.core.home import Home
from mmx.core.reporter import SilentReporter
from mmx.engine import stage_run
from mmx.store.checkpoint import read_weights
from mmx.store.run import RunFolder, newest_run
from mmx.workflows.method_settings import Wishes, read_config, resolve_method, settings_table
from mmx.workflows.prepare import PrepareSettings, prepare
from mmx.workflows.train import TrainSettings, parse_interval, train

METHOD = "attention-clip"
SMALL = ("attention_width=8", "width=8", "batch_size=8", "average=0.5")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the toy corpus; the first training adds the features of the tiny preset."""
    home = tmp_path_factory.mktemp("home")
    options = {"scenes": "60", "size": "32"}
    prepare(PrepareSettings(name="toy", home=home, options=options, workers=1), SilentReporter())
    return home


@pytest.fixture
def asked(corpus: Path, tmp_path: Path) -> TrainSettings:
    wishes = Wishes(preset="tiny", assignments=SMALL)
    return TrainSettings(METHOD, "toy", wishes, device="cpu", out=tmp_path / "run", home=corpus)


@pytest.fixture
def signal_at_call() -> Iterator[list[int]]:
    """A list: its number is the call of the loss at which Ctrl-C is pressed."""
    at, calls, forward = [0], [0], stage_run.Objective.forward

    def pressed(self, batch, progress):
        calls[0] += 1
        if calls[0] == at[0]:
            os.kill(os.getpid(), signal.SIGINT)
        return forward(self, batch, progress)

    stage_run.Objective.forward = pressed
    yield at
    stage_run.Objective.forward = forward


def tensors(run: Path) -> dict[str, torch.Tensor]:
    return read_weights(run / "model.safetensors")


def assert_equal(left: Path, right: Path) -> None:
    ours, theirs = tensors(left), tensors(right)
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_run_remembers_all_that_is_needed_to_rebuild_it(asked: TrainSettings, reporter) -> None:
    result = train(replace(asked, seed=5, argv=("mmx", "train")), reporter)

    run = RunFolder.open(result.run)
    assert run.facts["method"] == METHOD and run.facts["dataset"] == "toy" and run.facts["seed"] == 5
    assert run.facts["settings"]["width"] == 8 and run.facts["set_by"]["width"] == "--set"
    assert (
        run.facts["set_by"]["image_encoder"] == "preset tiny" and run.facts["set_by"]["dropout"] == "default"
    )
    assert set(run.facts["towers"]) == {"image", "text"} and run.facts["towers"]["image"]["fingerprint"]
    assert run.facts["precision"] == "fp32" and run.facts["argv"] == ["mmx", "train"]
    assert run.metrics()["val"] == result.metrics and 0 <= result.metrics["rsum"] <= 600


def test_without_out_a_run_gets_a_new_name_in_the_home(asked: TrainSettings, reporter) -> None:
    first, second = (train(replace(asked, out=None), reporter).run for _ in range(2))

    assert first != second and first.parent == asked.home / "runs"
    assert first.name.startswith(f"{METHOD}-toy-20")
    assert newest_run(asked.home / "runs").path == second
    assert_equal(first, second)


@pytest.mark.parametrize("more", [(), ("train_image=true", "train_text=true", "augment=crop-flip")])
def test_an_interrupted_training_goes_on_bit_for_bit(
    more: tuple[str, ...], asked: TrainSettings, signal_at_call: list[int], reporter, tmp_path: Path
) -> None:
    """Over features, and over pictures that a second process decodes and varies."""
    wishes = replace(asked.wishes, assignments=SMALL + more)
    whole = train(replace(asked, wishes=wishes, workers=0), reporter)

    signal_at_call[0] = whole.steps + 8
    with pytest.raises(Interrupted, match="mmx train --resume"):
        train(replace(asked, wishes=wishes, workers=1, out=tmp_path / "broken"), reporter)
    resumed = train(TrainSettings(resume=tmp_path / "broken", home=asked.home, device="cpu"), reporter)

    assert_equal(whole.run, resumed.run)
    assert resumed.metrics == whole.metrics and resumed.steps == whole.steps


def test_a_run_is_resumed_by_its_name_too(asked: TrainSettings, reporter) -> None:
    result = train(replace(asked, out=None), reporter)

    again = train(TrainSettings(resume=Path(result.run.name), home=asked.home, device="cpu"), reporter)

    assert again.run == result.run and again.metrics == result.metrics


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"wishes": Wishes(flags={"epochs": 3})}, "leave out --epochs"),
        ({"wishes": Wishes(preset="tiny", assignments=("lr=1",))}, "leave out --preset, --set"),
        ({"out": Path("x")}, "leave out --out"),
        ({"dataset": "other"}, "has the dataset 'toy', not 'other'"),
    ],
)
def test_a_resumed_run_keeps_its_settings(change: dict, words: str, asked: TrainSettings, reporter) -> None:
    facts = {"method": METHOD, "dataset": "toy", "manifest_fingerprint": "0", "settings": {}, "towers": {}}
    run = RunFolder.create(asked.out, {**facts, "tasks": [], "seed": 0, "set_by": {}, "precision": "fp32"})

    with pytest.raises(UsageError, match=words):
        train(TrainSettings(resume=run.path, home=asked.home, **change), reporter)


def test_a_run_whose_corpus_was_prepared_anew_is_not_resumed(asked: TrainSettings, reporter) -> None:
    result = train(asked, reporter)
    facts = json.loads((result.run / "settings.json").read_text())
    (result.run / "settings.json").write_text(json.dumps({**facts, "manifest_fingerprint": "before"}))

    with pytest.raises(ArtifactError, match="prepared anew since"):
        train(TrainSettings(resume=result.run, home=asked.home, device="cpu"), reporter)


def test_a_run_under_way_is_not_resumed_by_another_process(asked: TrainSettings, reporter) -> None:
    result = train(asked, reporter)

    with RunFolder.open(result.run).locked(), pytest.raises(ArtifactError, match="another process"):
        train(TrainSettings(resume=result.run, home=asked.home, device="cpu"), reporter)


def test_a_place_that_cannot_be_written_is_found_before_any_work(tmp_path: Path, reporter) -> None:
    """The corpus does not even exist: nobody looked for it."""
    (tmp_path / "file").write_text("")
    settings = TrainSettings(METHOD, "none", out=tmp_path / "file" / "run", home=tmp_path, device="cpu")

    with pytest.raises(ResourceError, match="cannot be written"):
        train(settings, reporter)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"method": None}, UsageError, "name a method and a dataset"),
        ({"method": "atention-clip"}, UsageError, "Did you mean 'attention-clip'"),
        ({"dataset": "flickr9k"}, ArtifactError, "mmx prepare flickr9k"),
        ({"precision": "fp8"}, UsageError, "no precision 'fp8'. There are: auto, fp32, bf16"),
        ({"save_every": "often"}, UsageError, "'often' is not an interval"),
        ({"device": "tpu"}, UsageError, "no device 'tpu'"),
        ({"resume": Path("nowhere")}, ArtifactError, "there is no run at 'nowhere'"),
        ({"wishes": Wishes(preset="huge")}, UsageError, "no preset 'huge'"),
        ({"wishes": Wishes(assignments=("margn=1",))}, UsageError, "no setting 'margn'"),
        ({"wishes": Wishes(flags={"batch_size": 1})}, UsageError, "batch_size"),
    ],
)
def test_wrong_words_are_answered_with_what_there_is(
    change: dict, error: type, words: str, asked: TrainSettings, reporter
) -> None:
    with pytest.raises(error) as caught:
        train(replace(asked, **change), reporter)
    assert words in str(caught.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_an_absent_device_is_exit_5(asked: TrainSettings, reporter) -> None:
    with pytest.raises(DeviceError):
        train(replace(asked, device="cuda"), reporter)


def test_a_folder_with_something_in_it_is_not_trained_into(asked: TrainSettings, reporter) -> None:
    asked.out.mkdir()
    (asked.out / "mine").write_text("")

    with pytest.raises(UsageError, match="is not empty"):
        train(asked, reporter)


def test_each_layer_of_settings_wins_over_the_ones_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Default, preset, file, variable, --set, flag: each sets what comes after it too."""
    (tmp_path / "c.toml").write_text("width = 11\nheads = 1\nlr = 0.5\nbatch_size = 11\nepochs = 11\n")
    for name in ("HEADS", "LR", "BATCH_SIZE", "EPOCHS"):
        monkeypatch.setenv(f"MMX_{name}", "2")
    assignments = ("lr=3", "batch_size=3", "epochs=3")
    wishes = Wishes("tiny", tmp_path / "c.toml", assignments, {"batch_size": 4, "epochs": None})

    resolved = resolve_method("attention_clip", wishes)

    values, by = vars(resolved.settings), resolved.set_by
    assert (values["image_encoder"], by["image_encoder"]) == ("random:resnet", "preset tiny")
    assert (values["width"], by["width"]) == (11, str(tmp_path / "c.toml"))
    assert (values["heads"], by["heads"]) == (2, "MMX_HEADS")
    assert (values["lr"], by["lr"]) == (3.0, "--set")
    assert (values["epochs"], by["epochs"]) == (3, "--set")
    assert (values["batch_size"], by["batch_size"]) == (4, "--batch-size")
    assert by["text_lr"] == "default"


def test_a_file_may_hold_a_table_for_each_method(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text("epochs = 1\nlr = 0.1\n[attention_clip]\nlr = 0.2\n[other]\nmargin = 3\n")

    assert read_config(path, METHOD) == {"epochs": 1, "lr": 0.2}


@pytest.mark.parametrize(("text", "words"), [("lr = ", "is not a TOML file"), (None, "cannot be read")])
def test_a_broken_or_absent_file_is_named(text: str | None, words: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "c.toml").write_text(text)

    with pytest.raises(UsageError, match=words):
        read_config(tmp_path / "c.toml", METHOD)


def test_the_settings_can_be_read_without_a_corpus(home: Home) -> None:
    rows = {row.name: row for row in settings_table(METHOD, Wishes(flags={"lr": 0.5}))}

    assert (rows["lr"].value, rows["lr"].set_by) == (0.5, "--lr")
    assert all(row.help and row.source for row in rows.values())
    with pytest.raises(UsageError, match="name a method"):
        settings_table(None, Wishes())


def test_an_interval_is_steps_or_time() -> None:
    assert [parse_interval(text) for text in (None, "500", "30s", "10m", "1h")] == [
        (None, None),
        (500, None),
        (None, 30.0),
        (None, 600.0),
        (None, 3600.0),
    ]
    for wrong in ("0", "-1", "5 minutes", ""):
        with pytest.raises(UsageError):
            parse_interval(wrong)
