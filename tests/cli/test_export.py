"""mmx export: what it prints, and words and codes before any work."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy
import pytest

from mmx.core.home import Home
from mmx.encoders.onnx_session import OnnxSession
from mmx.engine import onnx_export
from mmx.workflows import export as workflow
from tests.typed import typed
from tests.workflows.exported_home import exported_home

pytest.importorskip("onnx", reason="the extra onnx is not installed")


class Blunt(OnnxSession):
    """Towers that say the same of everything."""

    def __call__(self, inputs: Mapping[str, numpy.ndarray]) -> numpy.ndarray:
        return numpy.ones_like(super().__call__(inputs))


def test_it_prints_how_near_each_side_is_to_torch_how_large_all_is_and_what_int8_costs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home, _ = exported_home(tmp_path / "home")
    asked = ("export", "clip", "--onnx", "--home", str(home.root))
    code, out, err = typed(monkeypatch, capsys, *asked, "--out", str(tmp_path / "a"))
    assert code == 0 and "comparing it with torch on captions of 'drawn' val" in err
    assert "'clip' beside torch" in out and "captions of 'drawn' val" in out
    assert f"MB in {tmp_path / 'a'}" in out and "next:" not in err
    code, out, err = typed(monkeypatch, capsys, *asked, "--int8", "--int8-tolerance", "100")
    assert code == 0 and "mmx index add PHOTOS --run clip, then mmx search" in err and "--engine onnx" in err
    assert "'drawn' val, 4 pictures and 8 captions" in out and "both in int8" in out
    assert "No recall may fall by more than 100." in out
    before = (home.runs / "clip" / "onnx" / "settings.json").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(workflow, "OnnxSession", Blunt)
        code, _, err = typed(patch, capsys, *asked, "--int8")
    assert code == 4 and "and 1 is the most. Nothing was kept. Leave out --int8, or allow more" in err
    assert (home.runs / "clip" / "onnx" / "settings.json").read_bytes() == before
    code, out, _ = typed(monkeypatch, capsys, *asked, "--json", "--out", str(tmp_path / "a"))
    said = json.loads(out)
    assert code == 0 and said["sides"]["image"]["deviation"] < 1e-4 and said["left_out"] == {}
    assert (
        said["bytes"]
        == sum(path.stat().st_size for path in (tmp_path / "a").iterdir())
        - (tmp_path / "a" / "settings.json").stat().st_size
    )


def test_words_that_do_not_fit_and_runs_that_are_not_there_have_their_codes(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = typed(monkeypatch, capsys, "export", "mine")
    assert code == 2 and "Write: mmx export RUN --onnx" in err
    code, _, err = typed(monkeypatch, capsys, "export", "mine", "--onnx")
    assert code == 4 and "there is no run at 'mine'" in err
    (tmp_path / "file").write_text("x")
    code, _, err = typed(
        monkeypatch, capsys, "export", "offline-flickr8k", "--onnx", "--out", str(tmp_path / "file")
    )
    assert code == 2 and "holds something else than exported towers" in err
    code, _, err = typed(monkeypatch, capsys, "export", "mine", "--onnx", "--int8-tolerance", "2")
    assert code == 2 and "Add --int8, or leave it out" in err
    monkeypatch.setattr(onnx_export, "onnx", None)
    code, _, err = typed(monkeypatch, capsys, "export", "mine", "--onnx")
    assert code == 7 and "pip install 'mmx[onnx]'" in err


def test_search_says_which_engines_there_are_and_why_one_cannot_answer(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("search", "a dog", "--in", str(tmp_path), "--no-sheet")
    code, _, err = typed(monkeypatch, capsys, *asked, "--engine", "jax")
    assert code == 2 and "There are: auto, torch, onnx" in err
    code, _, err = typed(monkeypatch, capsys, *asked, "--engine", "onnx")
    assert code == 2 and "there is no export that can be read of 'offline-flickr8k'" in err
