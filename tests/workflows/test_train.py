"""Training from a prepared corpus to a run: who sets what, what a run remembers, and how it goes on."""

import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mmx.core.errors import ArtifactError, DataError, DeviceError, Interrupted, ResourceError, UsageError
from mmx.core.home import Home
from mmx.core.method import Method
from mmx.core.reporter import SilentReporter
from mmx.store.checkpoint import read_weights
from mmx.store.manifest import write_manifest
from mmx.store.run import RunFolder
from mmx.store.run_record import newest_record
from mmx.store.sealed import read_sealed, write_sealed
from mmx.workflows.method_settings import Wishes
from mmx.workflows.prepare import PrepareSettings, prepare
from mmx.workflows.train import train
from mmx.workflows.train_settings import TrainSettings, parse_interval
from tests.small_corpus import make_corpus

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


@pytest.fixture(scope="module")
def trained(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole run, of the settings asked for."""
    wishes, out = Wishes(preset="tiny", assignments=SMALL), tmp_path_factory.mktemp("trained") / "run"
    return train(
        TrainSettings(METHOD, "toy", wishes, device="cpu", out=out, home=corpus), SilentReporter()
    ).run


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may change."""
    shutil.copytree(trained, tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def signal_at_call() -> Iterator[list[int]]:
    """A list: its number is the call of the loss at which Ctrl-C is pressed."""
    at, calls, loss = [0], [0], Method.loss

    def pressed(self, model, batch, progress):
        calls[0] += 1
        if calls[0] == at[0]:
            os.kill(os.getpid(), signal.SIGINT)
        return loss(self, model, batch, progress)

    Method.loss = pressed
    yield at
    Method.loss = loss


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
    assert newest_record(asked.home / "runs", "retrieval").path == second
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
        ({"seed": 1}, "leave out --seed"),
        ({"precision": "bf16"}, "leave out --precision"),
        ({"dataset": "other"}, "has the dataset 'toy', not 'other'"),
    ],
)
def test_a_resumed_run_keeps_its_settings(change: dict, words: str, asked: TrainSettings, reporter) -> None:
    facts = {"method": METHOD, "dataset": "toy", "manifest_fingerprint": "0", "settings": {}, "towers": {}}
    run = RunFolder.create(asked.out, {**facts, "tasks": [], "seed": 0, "set_by": {}, "precision": "fp32"})

    with pytest.raises(UsageError, match=words):
        train(TrainSettings(resume=run.path, home=asked.home, **change), reporter)


def test_a_run_whose_corpus_was_prepared_anew_is_not_resumed(run: Path, corpus: Path, reporter) -> None:
    facts = read_sealed(run / "settings.json", "")
    write_sealed(run / "settings.json", {**facts, "manifest_fingerprint": "before"})

    with pytest.raises(ArtifactError, match="prepared anew since"):
        train(TrainSettings(resume=run, home=corpus, device="cpu"), reporter)


def stopped_before_any_state(asked: TrainSettings, reporter, start: Path) -> Path:
    """A run as a kill between its settings and its first state leaves it."""
    started = replace(asked, init=start, out=asked.out.with_name("started"))
    result = train(started, reporter)
    for name in ("state", "model.safetensors", "metrics.json", "log.jsonl"):
        path = result.run / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return result.run


def test_a_run_killed_before_its_first_state_still_starts_from_the_weights_it_was_given(
    asked: TrainSettings, run: Path, reporter
) -> None:
    whole = train(replace(asked, init=run, out=asked.out.with_name("whole")), reporter).run
    stopped = stopped_before_any_state(asked, reporter, run)

    train(TrainSettings(resume=stopped, home=asked.home, device="cpu"), reporter)

    assert_equal(stopped, whole)


@pytest.mark.parametrize("gone", [True, False])
def test_weights_to_start_from_that_are_gone_or_others_now_are_told(
    gone: bool, asked: TrainSettings, run: Path, reporter
) -> None:
    stopped = stopped_before_any_state(asked, reporter, run)
    if gone:
        shutil.rmtree(run)
    else:
        facts = read_sealed(run / "settings.json", "")
        write_sealed(run / "settings.json", {**facts, "method": "other"})

    with pytest.raises(ArtifactError, match="no run at" if gone else "was to start from"):
        train(TrainSettings(resume=stopped, home=asked.home, device="cpu"), reporter)


def test_a_stage_that_does_not_fit_leaves_the_folder_free(asked: TrainSettings, reporter) -> None:
    wrong = Wishes(preset="tiny", assignments=(*SMALL, "train_text=true", "text_blocks=99"))

    with pytest.raises(UsageError, match="99 blocks"):
        train(replace(asked, wishes=wrong), reporter)

    assert not asked.out.exists()


def test_a_val_split_with_nothing_to_match_is_found_before_training(
    home: Home, reporter, tmp_path: Path
) -> None:
    manifest = make_corpus(home, "mute", split="train")
    val = [replace(manifest.split("train")[0], id="v", split="val", captions=())]
    records = {"train": manifest.split("train"), "val": val}
    write_manifest(manifest.folder, "mute", manifest.image_root, records)
    settings = TrainSettings(METHOD, "mute", Wishes(preset="tiny"), device="cpu", out=tmp_path / "run")

    with pytest.raises(DataError, match="'mute' val has 1 pictures and 0 captions"):
        train(replace(settings, home=home.root), reporter)

    assert not (tmp_path / "run").exists()


def test_a_run_with_settings_that_are_no_more_is_an_artefact_of_another_version(
    run: Path, corpus: Path, reporter
) -> None:
    facts = read_sealed(run / "settings.json", "")
    facts["settings"]["margin_of_old"] = 1
    write_sealed(run / "settings.json", facts)

    with pytest.raises(ArtifactError, match="margin_of_old"):
        train(TrainSettings(resume=run, home=corpus, device="cpu"), reporter)


def test_a_run_under_way_is_not_resumed_by_another_process(run: Path, corpus: Path, reporter) -> None:
    with RunFolder.open(run).locked(), pytest.raises(ArtifactError, match="another process"):
        train(TrainSettings(resume=run, home=corpus, device="cpu"), reporter)


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
