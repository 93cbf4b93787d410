"""A run done again from its record: equal bit for bit, or told where not; and what cannot be done again."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy
import pytest
import torch

from mmx.core.errors import ArtifactError, DeviceError, Interrupted, UsageError
from mmx.core.home import Home
from mmx.core.reporter import SilentReporter
from mmx.store.checkpoint import read_weights, save_weights
from mmx.store.provenance import versions
from mmx.store.run import RunFolder
from mmx.store.sealed import read_sealed, write_sealed
from mmx.workflows.circumstances import circumstances, note_resumed, recorded, what_changed
from mmx.workflows.replay import Replayed, ReplaySettings, replay
from mmx.workflows.train import TrainSettings, train
from tests.shot_files import write_class_texts, write_published
from tests.typed import typed
from tests.workflows.evaluated_home import fresh_home

QUIET = SilentReporter()


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, Replayed]:
    """The run `first`, and its replay beside it; only read."""
    home = fresh_home(tmp_path_factory.mktemp("replayed") / "home")
    return home, replay(ReplaySettings(home, Path("first")), QUIET)


@pytest.fixture
def home(replayed: tuple[Home, Replayed], tmp_path: Path) -> Home:
    """A copy of both, that a test may change."""
    shutil.copytree(replayed[0].root, tmp_path / "home")
    return Home(tmp_path / "home")


def change(path: Path, **changes: object) -> None:
    """Other values in a JSON file; None takes one out."""
    facts = {**read_sealed(path, ""), **changes}
    write_sealed(path, {name: value for name, value in facts.items() if value is not None})


def test_a_replay_is_equal_bit_for_bit_and_lies_beside_its_run(replayed) -> None:
    home, found = replayed

    assert found.equal and [part.name for part in found.parts] == ["weights", "log", "val"]
    assert found.changed == {} and found.unrecorded == ()
    run, second = RunFolder.open(home.runs / "first"), RunFolder.open(home.runs / "first-replay")
    assert second.facts["replay_of"] == {"run": str(run.path), "fingerprint": run.fingerprint}
    assert second.fingerprint == run.fingerprint
    for name in ("settings", "seed", "towers", "manifest_fingerprint", "precision", "assets"):
        assert second.facts[name] == run.facts[name]
    assert found.document()["schema"] == "mmx.replay/1" and found.document()["equal"]


def test_a_run_keeps_what_decides_its_last_bits(replayed) -> None:
    facts = RunFolder.open(replayed[0].runs / "first").facts

    assert facts["machine"]["threads"] == torch.get_num_threads()
    assert set(facts["machine"]) == {"system", "processor", "instructions", "threads", "accelerator"}
    assert facts["versions"] == versions() and facts["processes"] == 1


def test_a_replay_has_the_threads_of_its_run_and_says_what_else_changed(home: Home) -> None:
    path = home.runs / "first" / "settings.json"
    facts, threads = read_sealed(path, ""), torch.get_num_threads()
    change(path, machine={**facts["machine"], "threads": 7}, versions={**facts["versions"], "torch": "1.0"})

    found = replay(ReplaySettings(home, Path("first"), out=home.runs / "first-replay"), QUIET)

    assert found.changed == {"torch": (["1.0"], versions()["torch"])}
    assert torch.get_num_threads() == threads


def test_an_older_record_is_replayed_and_what_it_lacks_is_named(home: Home) -> None:
    change(home.runs / "first" / "settings.json", machine=None, processes=None)

    found = replay(ReplaySettings(home, Path("first"), out=home.runs / "first-replay"), QUIET)

    assert found.equal and {"threads", "processor", "processes"} <= set(found.unrecorded)


def test_a_process_that_went_on_with_a_run_is_in_its_record(home: Home) -> None:
    run, cpu = RunFolder.open(home.runs / "second"), torch.device("cpu")
    note_resumed(run, cpu, 1)
    assert len(recorded(run)) == 1, "nothing is left to do of a whole run"
    change(next((run.path / "state").iterdir()) / "state.json", stage=0)

    note_resumed(run, cpu, 2)

    first, later = recorded(run)
    assert later["machine"] == first["machine"] and later["step"] > 0 and later["commit"] == first["commit"]
    assert what_changed(run, circumstances(cpu)) == {"processes": ([1, 2], 1)}
    (run.path / "resumed.jsonl").write_text("{")
    with pytest.raises(ArtifactError, match=r"resumed\.jsonl' is broken"):
        recorded(run)


def test_a_run_that_began_from_another_is_replayed_from_it(home: Home) -> None:
    asked = TrainSettings("attention-clip", "small", device="cpu", home=home.root, init=Path("second"))
    facts = RunFolder.open(home.runs / "first").facts
    changes = tuple(
        f"{name}={facts['settings'][name]}" for name, by in facts["set_by"].items() if by == "--set"
    )
    wishes = replace(asked.wishes, preset="tiny", assignments=changes)
    train(replace(asked, wishes=wishes, out=home.runs / "tuned"), QUIET)

    assert replay(ReplaySettings(home, Path("tuned")), QUIET).equal
    shutil.rmtree(home.runs / "second")
    with pytest.raises(ArtifactError, match=r"no run at '.*second'"):
        replay(ReplaySettings(home, Path("tuned")), QUIET)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"manifest_fingerprint": "before"},
            "began on 'small' with fingerprint before; it has been prepared",
        ),
        ({"assets": "other"}, "counted something else before training"),
        ({"settings": {"margin_of_old": 1}}, "margin_of_old"),
        ({"method": "forgotten"}, "what this mmx does not have"),
        ({"method": "dynamic-gating", "settings": {}}, "is not whole: .* holds no classifier"),
    ],
)
def test_what_is_no_longer_as_it_was_is_told_before_anything_is_trained(
    changes: dict[str, object], words: str, home: Home
) -> None:
    change(home.runs / "second" / "settings.json", **changes)

    with pytest.raises(ArtifactError, match=words):
        replay(ReplaySettings(home, Path("second")), QUIET)

    assert not (home.runs / "second-replay").exists()


def test_other_weights_of_an_encoder_are_told(home: Home) -> None:
    path = home.runs / "second" / "settings.json"
    towers = read_sealed(path, "")["towers"]
    change(path, towers={**towers, "image": {**towers["image"], "fingerprint": "0123"}})

    with pytest.raises(ArtifactError, match="image encoder 'random:resnet', fingerprint 0123; here it has"):
        replay(ReplaySettings(home, Path("second")), QUIET)


def test_a_run_that_was_stopped_has_no_end_to_compare_with(home: Home) -> None:
    state = next((home.runs / "second" / "state").iterdir()) / "state.json"
    change(state, stage=0)

    with pytest.raises(ArtifactError, match=r"is not trained to its end.*mmx train --resume"):
        replay(ReplaySettings(home, Path("second")), QUIET)
    (home.runs / "second" / "model.safetensors").unlink()
    with pytest.raises(ArtifactError, match="has no weights yet"):
        replay(ReplaySettings(home, Path("second")), QUIET)


def test_a_folder_with_another_run_is_not_replayed_into(home: Home) -> None:
    with pytest.raises(UsageError, match=r"no replay of '.*second'\. Choose another --out"):
        replay(ReplaySettings(home, Path("second"), out=home.runs / "first"), QUIET)


def test_a_replay_that_is_stopped_says_how_it_goes_on(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*given: object) -> None:
        raise Interrupted("stopped after step 1 of 2")

    monkeypatch.setattr("mmx.workflows.replay.train", stopped)
    with pytest.raises(Interrupted, match=r"mmx replay .*second --out .*second-replay"):
        replay(ReplaySettings(home, Path("second")), QUIET)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_run_of_a_device_that_is_not_here_is_exit_5(home: Home) -> None:
    change(home.runs / "second" / "settings.json", device="cuda")

    with pytest.raises(DeviceError):
        replay(ReplaySettings(home, Path("second")), QUIET)


def test_at_the_keyboard_a_difference_is_shown_and_is_exit_5(home: Home, monkeypatch, capsys) -> None:
    words = ("replay", "first", "--home", home.root, "--out", home.runs / "first-replay")
    code, out, _ = typed(monkeypatch, capsys, *words)
    assert code == 0 and "bit for bit" in out and "times aside" in out

    file = home.runs / "first-replay" / "model.safetensors"
    tensors = read_weights(file)
    name = next(name for name, tensor in tensors.items() if tensor.is_floating_point())
    tensors[name].view(-1)[0] += 0.5
    save_weights(file, tensors, {"method": "attention-clip"})
    log = home.runs / "first-replay" / "log.jsonl"
    log.write_text(log.read_text().replace('"epoch": 1', '"epoch": 2', 1))

    code, out, err = typed(monkeypatch, capsys, *words)
    assert code == 5 and f"1 of {len(tensors)} tensors differ, most '{name}', by up to 0.5" in out
    assert "line 1 of" in out and "epoch was 1, now 2" in out
    assert "did not come out the same: weights, log. What changed: nothing that the record knows." in err
    code, out, _ = typed(monkeypatch, capsys, *words, "--json")
    found = json.loads(out)
    assert code == 5 and [part["equal"] for part in found["parts"]] == [False, False, True]
    code, out, err = typed(monkeypatch, capsys, "replay", "nowhere", "--home", home.root)
    assert (code, out) == (4, "") and "no run at 'nowhere'" in err


def test_a_few_shot_classifier_is_fitted_again_on_what_it_was_shown(
    home: Home, tmp_path, monkeypatch, capsys
) -> None:
    folder = write_published(tmp_path / "published")
    texts, names = write_class_texts(tmp_path / "texts")
    place = ("--home", home.root)
    typed(monkeypatch, capsys, "prepare", "pets", "--raw", folder, *place)
    typed(
        monkeypatch,
        capsys,
        "extract",
        "pets",
        "--encoder",
        "mine",
        "--import",
        folder,
        "--as-embedding",
        *place,
    )
    words = ("fewshot", "pets", "--shots", "1,4", "--seeds", "1,2", "--method", "cross-modal-probe", *place)
    code, _, err = typed(
        monkeypatch,
        capsys,
        *words,
        "--out",
        home.runs / "head",
        "--class-texts",
        texts,
        "--text-names",
        names,
    )
    assert code == 0, err

    found = replay(ReplaySettings(home, Path("head")), QUIET)

    assert found.equal and [part.name for part in found.parts] == ["shown", "weights", "val"]
    numpy.save(texts, numpy.load(texts)[:, ::-1].copy())
    other = replay(ReplaySettings(home, Path("head")), QUIET)
    assert not other.equal and not other.parts[0].equal and other.replay.endswith("head-replay-2")
    change(home.runs / "head" / "settings.json", asked=None)
    with pytest.raises(ArtifactError, match=r"did not write down what .*fewshot pets"):
        replay(ReplaySettings(home, Path("head")), QUIET)
