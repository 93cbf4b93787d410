"""mmx push: what it prints, and words and codes before any hub is asked."""

import json
from pathlib import Path

import pytest

from mmx.core.home import Home
from tests.typed import typed
from tests.workflows.exported_home import exported_home

pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")


def test_a_trial_lists_what_would_be_pushed_and_pushes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The tokenizer of its text encoder is among it; the export beside it is not."""
    home, _ = exported_home(tmp_path / "home")
    asked = ("push", "clip", "me/mine", "--home", str(home.root), "--dry-run")
    code, out, _ = typed(monkeypatch, capsys, *asked, str(tmp_path / "a"))
    assert (
        code == 0
        and "tokenizer.json" in out
        and "onnx" not in out
        and f"nothing was pushed; look at {tmp_path / 'a'}" in out
    )
    code, out, _ = typed(monkeypatch, capsys, *asked, str(tmp_path / "b"), "--json")
    said = json.loads(out)
    assert said["schema"] == "mmx.push/1" and said["url"] is None
    assert said["files"] == {path.name: path.stat().st_size for path in (tmp_path / "b").iterdir()}


def test_names_runs_and_networks_that_are_not_there_have_their_codes(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = typed(monkeypatch, capsys, "push", "offline-flickr8k", "mine")
    assert code == 2 and "Write OWNER/NAME" in err
    code, _, err = typed(monkeypatch, capsys, "push", "nothing", "me/mine")
    assert code == 4 and "there is no run at 'nothing'" in err
    code, _, err = typed(monkeypatch, capsys, "push", "offline-flickr8k", "me/mine")
    assert code == 4 and "no hub can be reached" in err and "HF_HUB_OFFLINE" in err
    (tmp_path / "full").mkdir()
    code, _, err = typed(
        monkeypatch, capsys, "push", "offline-flickr8k", "me/mine", "--dry-run", str(tmp_path / "full")
    )
    assert code == 2 and "is there already" in err
    on_hub = "hub:me/mine"
    for words in (
        ("search", "a dog", "--run", on_hub),
        ("evaluate", on_hub),
        ("export", on_hub, "--onnx"),
        ("predict", on_hub, "a.jpg"),
        ("train", "attention-clip", "--dataset", "toy", "--init", on_hub),
    ):
        code, _, err = typed(monkeypatch, capsys, *words)
        assert code == 4 and f"'{on_hub}' is not whole in the cache" in err, (words, err)
    code, _, err = typed(monkeypatch, capsys, "evaluate", "hub:mine")
    assert code == 2 and "Write hub:OWNER/NAME" in err
