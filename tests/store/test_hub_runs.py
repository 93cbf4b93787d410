"""Runs on a hub: what is pushed comes back as it was, and nothing that is odd becomes a run."""

import json
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants

from mmx.core.assets import Assets
from mmx.core.errors import ArtifactError, UsageError
from mmx.core.home import Home
from mmx.core.reporter import SilentReporter
from mmx.store import hub_calls
from mmx.store.hub_manifest import MANIFEST
from mmx.store.run import RunFolder, find_run
from mmx.workflows.push import PushSettings, push
from tests.stand_in_hub import TOKEN, StandInHub

NAME = Path("hub:me/mine")


@pytest.fixture
def run(home: Home) -> RunFolder:
    """A run as a training leaves it, with a second encoder of drawn weights and what it counted."""
    tower = {"encoder": "random:bert", "fingerprint": "f", "width": 64, "trainable": False, "features": ["x"]}
    facts = {
        "method": "attention-clip",
        "dataset": "drawn",
        "manifest_fingerprint": "0123",
        "tasks": ["retrieval"],
        "settings": {"width": 8, "epochs": 2},
        "set_by": {"width": "--set", "epochs": "default"},
        "towers": {"image": {**tower, "encoder": "random:resnet"}, "text": tower},
        "init": {"run": "/home/somebody/runs/first", "fingerprint": "f"},
        "seed": 4,
        "precision": "fp32",
        "device": "cpu",
        "argv": ["/home/somebody/mmx", "train", "attention-clip", "--out", "/home/somebody/runs/r"],
    }
    run = RunFolder.create(home.runs / "mine", facts, Assets({"words": ["a"]}, {"counts": torch.ones(3)}))
    evaluation = {
        "name": "/home/somebody/runs/mine",
        "dataset": "drawn",
        "split": "test",
        "metrics": {"rsum": 12.5},
        "intervals": {"rsum": [10.0, 15.0]},
        "definitions": ["rsum: a sum."],
        "command": "mmx evaluate /home/somebody/runs/mine",
    }
    weights = {"layer": torch.randn(40, 30, generator=torch.Generator().manual_seed(0))}
    run.write_weights(weights, {"val": {"rsum": 11.0}, "primary_metric": "rsum", "evaluations": [evaluation]})
    (run.path / "log.jsonl").write_text("{}\n")
    (run.path / "curves.png").write_bytes(b"png")
    (run.path / "state").mkdir()
    return run


def pushed(home: Home, run: RunFolder, **words: object) -> None:
    push(PushSettings(run.path, "me/mine", home=home, **words), SilentReporter())


def test_a_run_comes_back_from_the_hub_as_it_was_pushed(home: Home, hub: StandInHub, run: RunFolder) -> None:
    pushed(home, run, private=True)
    assert hub.private["me/mine"] and sorted(hub.files("me/mine")) == [
        "README.md", "assets.json", "assets.safetensors", "metrics.json", "mmx.json", "model.safetensors",
        "settings.json",
    ]  # fmt: skip
    found = find_run(NAME, home.runs)
    assert found.fingerprint == run.fingerprint
    assert found.assets().values == {"words": ["a"]} and found.assets().tensors["counts"].tolist() == [
        1,
        1,
        1,
    ]
    assert torch.equal(found.read_weights()["layer"], run.read_weights()["layer"])
    assert found.metrics()["val"] == {"rsum": 11.0}
    assert found.path.parent == home.root / "hub" / "me" and found.name.startswith("mine@")


def test_nothing_that_is_pushed_tells_of_the_machine_or_of_the_token(
    home: Home, hub: StandInHub, run: RunFolder
) -> None:
    pushed(home, run)
    for name, data in hub.files("me/mine").items():
        assert b"somebody" not in data and TOKEN.encode() not in data, name
    assert json.loads(hub.files("me/mine")["settings.json"])["init"] == {"run": "first", "fingerprint": "f"}


def test_the_weights_go_to_the_store_of_large_files_and_all_of_it_is_one_commit(
    home: Home, hub: StandInHub, run: RunFolder
) -> None:
    pushed(home, run)
    assert hub.files("me/mine")["model.safetensors"] in hub.large.values()
    assert sum("/commit/" in asked for asked in hub.asked) == 1


def test_a_revision_is_a_branch_of_its_own_and_pushing_again_is_a_new_version(
    home: Home, hub: StandInHub, run: RunFolder
) -> None:
    pushed(home, run, revision="trial")
    assert hub.files("me/mine") == {} and "model.safetensors" in hub.files("me/mine", "trial")
    first = find_run(Path("hub:me/mine@trial"), home.runs)
    run.write_weights({"layer": torch.zeros(40, 30)}, {"val": {"rsum": 1.0}})
    pushed(home, run, revision="trial")
    second = find_run(Path("hub:me/mine@trial"), home.runs)
    assert second.path != first.path and second.fingerprint == run.fingerprint != first.fingerprint


def test_without_a_network_the_cache_serves(
    home: Home, hub: StandInHub, run: RunFolder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pushed(home, run)
    first = find_run(NAME, home.runs)
    asked = len(hub.asked)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert find_run(NAME, home.runs).path == first.path
    elsewhere = Home(tmp_path / "elsewhere")
    assert find_run(NAME, elsewhere.runs).fingerprint == run.fingerprint
    with pytest.raises(ArtifactError, match=r"'hub:me/other' is not whole in the cache '.+' and no hub"):
        find_run(Path("hub:me/other"), home.runs)
    with pytest.raises(ArtifactError, match=r"cannot be pushed: no hub can be reached at .+HF_HUB_OFFLINE"):
        pushed(home, run)
    assert len(hub.asked) == asked


def test_an_address_where_nobody_listens_is_told_in_words(
    home: Home, hub: StandInHub, run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ArtifactError, match=r"no hub can be reached at 'http://127\.0\.0\.1:9'"):
        find_run(NAME, home.runs)
    with pytest.raises(ArtifactError, match=r"no hub can be reached at 'http://127\.0\.0\.1:9'"):
        pushed(home, run)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, r"does not know who asks for '.+' \(401\)\. Log in .+ or set HF_TOKEN"),
        (403, r"does not let you do this with '.+' \(403\)"),
        (404, r"there is no '.+' on the hub, or none that you may see \(404\)"),
    ],
)
def test_a_refusal_is_told_in_words(
    home: Home, hub: StandInHub, run: RunFolder, status: int, words: str
) -> None:
    hub.refuse = status
    with pytest.raises(ArtifactError, match=words):
        find_run(NAME, home.runs)
    with pytest.raises(ArtifactError, match=words):
        pushed(home, run)


def test_without_a_token_the_hub_asks_who_pushes(
    home: Home, hub: StandInHub, run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", "/nowhere/token")
    with pytest.raises(ArtifactError, match=r"hf auth login"):
        pushed(home, run)


def test_a_repository_that_is_no_run_or_not_there_is_told_apart(home: Home, hub: StandInHub) -> None:
    hub.put("me/pair", {"config.json": b"{}", "model.safetensors": b"x" * 2000})
    with pytest.raises(ArtifactError, match=r"'hub:me/pair' holds no run of mmx.+--model"):
        find_run(Path("hub:me/pair"), home.runs)
    assert not any("model.safetensors" in asked for asked in hub.asked)
    with pytest.raises(ArtifactError, match=r"there is no 'hub:me/none' on the hub"):
        find_run(Path("hub:me/none"), home.runs)
    with pytest.raises(ArtifactError, match=r"'hub:me/pair@v9' has no such revision"):
        find_run(Path("hub:me/pair@v9"), home.runs)
    for name in ("hub:mine", "hub:a/b/c", "hub:a b/../c"):
        with pytest.raises(UsageError, match=r"Write (hub:)?OWNER/NAME"):
            find_run(Path(name), home.runs)


def test_a_file_that_is_not_the_one_that_was_pushed_is_refused(
    home: Home, hub: StandInHub, run: RunFolder
) -> None:
    pushed(home, run)
    weights = hub.files("me/mine")["model.safetensors"]
    hub.put("me/mine", {"model.safetensors": weights[:-1] + bytes([weights[-1] ^ 1])})
    with pytest.raises(
        ArtifactError, match=r"'model\.safetensors' of 'hub:me/mine' is not the file that was pushed"
    ):
        find_run(NAME, home.runs)
    assert not (home.root / "hub").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": 9}, r"of format 'mmx\.hub-run', version '9'"),
        ({"files": {}}, r"lists no whole run"),
        (
            {"files": {"weights.pt": {"bytes": 3, "sha256": "0" * 64}}},
            r"lists 'weights\.pt', which is no part",
        ),
        ({"files": {"../../x": {"bytes": 3, "sha256": "0" * 64}}}, r"lists '\.\./\.\./x', which is no part"),
        ({"files": {"README.md": {"bytes": "many"}}}, r"says nothing that can be checked of 'README\.md'"),
        ({"files": {"README.md": {"bytes": 1 << 40, "sha256": "0" * 64}}}, r"is of 1,099,511,627,776 bytes"),
    ],
)
def test_a_manifest_that_lists_what_no_run_has_is_refused_before_anything_is_fetched(
    home: Home, hub: StandInHub, run: RunFolder, change: dict, words: str
) -> None:
    pushed(home, run)
    said = json.loads(hub.files("me/mine")[MANIFEST])
    plain = {name: value for name, value in said.items() if name not in ("seal", "sealed")}
    if change.get("files"):
        change = {"files": {**plain["files"], **change["files"]}}
    hub.put("me/mine", {MANIFEST: json.dumps({**plain, **change}).encode()})
    hub.asked.clear()
    with pytest.raises(ArtifactError, match=words):
        find_run(NAME, home.runs)
    assert all(MANIFEST in asked for asked in hub.asked)


def test_a_run_that_holds_what_nobody_knows_is_not_pushed(
    home: Home, hub: StandInHub, run: RunFolder
) -> None:
    (run.path / "extra.pt").write_bytes(b"pickle")
    with pytest.raises(UsageError, match=r"holds 'extra\.pt', which is no part of a run"):
        pushed(home, run)
    (run.path / "extra.pt").unlink()
    run.weights.unlink()
    with pytest.raises(ArtifactError, match=r"has no weights yet"):
        pushed(home, run)
    with pytest.raises(UsageError, match=r"'mine' names no repository"):
        push(PushSettings(run.path, "mine", home=home), SilentReporter())
    assert hub.asked == []


def test_the_card_has_what_is_on_record_and_says_unknown_of_the_rest(
    home: Home, run: RunFolder, tmp_path: Path
) -> None:
    """Written without a word to any hub."""
    settings = PushSettings(run.path, "me/mine", dry_run=tmp_path / "dry", home=home)
    made = push(settings, SilentReporter())
    assert made.url is None and set(made.files) == {path.name for path in (tmp_path / "dry").iterdir()}
    card = (tmp_path / "dry" / "README.md").read_text()
    for words in (
        "library_name: mmx",
        "license: unknown",
        "# mine",
        "* Method: `attention-clip`, seed 4.",
        "* Data: `drawn`, as prepared by mmx with the fingerprint `0123`. Its licence: unknown.",
        "* Command: `mmx train attention-clip --out r`.",
        "* Begun with the weights of `first`.",
        "* Settings that are not the method's own: width=8.",
        "| text | `random:bert` | as it is | none: drawn weights |",
        "| rsum | 12.50 | 10.00 to 15.00 |",
        "| rsum | 11.00 | not measured |",
        "* rsum: a sum.",
        "--run hub:me/mine",
    ):
        assert words in card, words
    assert "somebody" not in card


def test_the_hub_is_asked_at_the_address_and_kept_at_the_place_that_the_environment_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1/")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    assert (hub_calls.endpoint(), hub_calls.cache()) == ("http://127.0.0.1:1", tmp_path / "hub")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "c"))
    assert hub_calls.cache() == tmp_path / "c" and not hub_calls.can_ask()
