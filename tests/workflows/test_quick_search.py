"""Search without torch: the hits that torch finds, and whatever it cannot answer left to torch."""

import os
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy
import pytest
from PIL import Image

from mmx.core.errors import MissingExtraError, UsageError
from mmx.core.home import Home
from mmx.core.reporter import SilentReporter
from mmx.encoders import onnx_session
from mmx.search.photos import JUST_NOW_NS
from mmx.store.run_record import RunRecord
from mmx.workflows import quick_search as quick
from mmx.workflows.quick_search import quick_search
from mmx.workflows.search import search
from mmx.workflows.search_result import SearchResult
from mmx.workflows.search_settings import SearchSettings
from tests.workflows.exported_home import exported_home

pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")


def make_ready(folder: Path) -> SearchSettings:
    """A sentence to a folder of photos that is indexed by a run that was exported."""
    home, photos = exported_home(folder)
    long_ago = time.time_ns() - 10 * JUST_NOW_NS
    for photo in photos.iterdir():
        os.utime(photo, ns=(long_ago, long_ago))
    settings = SearchSettings(
        query="a red square", run=home.runs / "clip", folder=photos, home=home, engine="onnx", device="cpu"
    )
    search(settings, SilentReporter())
    return settings


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> SearchSettings:
    """For tests that ask and change nothing."""
    return make_ready(tmp_path_factory.mktemp("ready") / "home")


@pytest.fixture
def asked(tmp_path: Path) -> SearchSettings:
    """For tests that change what is there."""
    return make_ready(tmp_path / "home")


def one(settings: SearchSettings) -> SearchResult:
    (found,) = quick_search([settings], SilentReporter())
    return found


def same(ours: SearchResult, theirs: SearchResult) -> None:
    plain = [{**result.document(), "hits": None} for result in (ours, theirs)]
    assert plain[0] == plain[1]
    for hit, other in zip(ours.hits, theirs.hits, strict=True):
        assert hit.score == pytest.approx(other.score, abs=1e-4)
        assert replace(hit, score=0) == replace(other, score=0)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"top": 3},
        {"top": 0},
        {"refresh": False},
        {"query": "2: red - a blue square + left"},
        {"min_score": "0.0"},
        {"folder": None, "dataset": "drawn", "split": "val"},
        {"folder": None, "top": 20},
        {"folder": None, "captions": True, "top": 30},
    ],
)
def test_the_hits_are_those_that_torch_finds(ready: SearchSettings, change: dict) -> None:
    settings = replace(ready, **change)
    theirs = search(settings, SilentReporter())
    same(one(settings), theirs)


def test_sheet_and_page_are_written_as_by_torch(ready: SearchSettings, tmp_path: Path) -> None:
    settings = replace(ready, sheet=tmp_path / "ours.png", page=tmp_path / "ours.html")
    theirs = replace(ready, sheet=tmp_path / "theirs.png", page=tmp_path / "theirs.html")
    one(settings)
    search(theirs, SilentReporter())
    # the last digit that is shown may differ
    ours, other = (re.sub(r"0\.\d{3}", "", written.page.read_text()) for written in (settings, theirs))
    assert ours == other
    sheets = [numpy.asarray(Image.open(written.sheet), dtype=int) for written in (settings, theirs)]
    assert numpy.abs(sheets[0] - sheets[1]).mean() < 0.01


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"where": "size > 0"}, "--where needs torch"),
        ({"collapse": 0.9}, "--collapse needs torch"),
        ({"explain": 1}, "--explain needs torch"),
        ({"run": Path("hub:me/mine")}, "a run on a hub needs torch"),
        ({"query": "./a.png + red"}, "a picture that is asked with needs torch"),
        ({"min_score": "90%"}, "--min-score in percent needs torch"),
        ({"rebuild": True}, "--rebuild needs torch"),
        ({"device": "cuda"}, "--device cuda needs torch"),
    ],
)
def test_what_needs_torch_is_left_to_it_and_refused_where_onnx_was_asked_for(
    ready: SearchSettings, change: dict, reason: str
) -> None:
    assert quick_search([replace(ready, engine="auto", **change)], SilentReporter()) is None
    with pytest.raises(UsageError, match=rf"--engine onnx cannot answer this: {reason}\. Leave it out\."):
        one(replace(ready, **change))
    assert quick_search([replace(ready, engine="torch", **change)], SilentReporter()) is None


def test_photos_that_are_new_changed_or_gone_are_left_to_torch(asked: SearchSettings) -> None:
    photo = next(asked.folder.iterdir())
    whole, times = photo.read_bytes(), photo.stat()
    (asked.folder / "new.png").write_bytes(whole)
    with pytest.raises(UsageError, match=r"photos of '.+' are to be encoded or looked at first"):
        one(asked)
    assert len(one(replace(asked, refresh=False)).hits) == 7
    (asked.folder / "new.png").unlink()
    assert len(one(asked).hits) == 7
    os.utime(photo, ns=(times.st_atime_ns, times.st_mtime_ns + 1))
    assert quick_search([replace(asked, engine="auto")], SilentReporter()) is None
    photo.unlink()
    assert quick_search([replace(asked, engine="auto")], SilentReporter()) is None


def test_weights_are_read_again_where_the_disk_says_that_they_were_touched(
    asked: SearchSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []
    fingerprint = RunRecord.fingerprint.fget
    monkeypatch.setattr(RunRecord, "fingerprint", property(lambda run: read.append(run) or fingerprint(run)))
    assert len(one(asked).hits) == 7
    assert not read
    os.utime(asked.run / "model.safetensors", ns=(0, 0))
    assert len(one(asked).hits) == 7
    assert len(read) == 1


def test_an_export_of_other_weights_is_not_used(asked: SearchSettings) -> None:
    towers = asked.run / "onnx"
    weights = asked.run / "model.safetensors"
    weights.write_bytes(weights.read_bytes() + b"\0")
    with pytest.raises(UsageError, match=r"the export of 'clip' is of other weights\. Make it again"):
        one(asked)
    (towers / "text.onnx.data").write_bytes(b"cut")
    with pytest.raises(UsageError, match=r"text\.onnx\.data' is not the file that was written"):
        one(asked)
    (towers / "settings.json").unlink()
    with pytest.raises(
        UsageError, match=r"there is no export that can be read of 'clip'.+mmx export RUN --onnx"
    ):
        one(asked)
    assert quick_search([replace(asked, engine="auto")], SilentReporter()) is None


def test_an_index_that_is_not_there_or_broken_is_made_by_torch(asked: SearchSettings) -> None:
    (gallery,) = asked.home.indexes.glob("*/gallery.safetensors")
    gallery.write_bytes(gallery.read_bytes()[:-9])
    assert quick_search([replace(asked, engine="auto")], SilentReporter()) is None
    gallery.unlink()
    with pytest.raises(UsageError, match=r"there is no file"):
        one(asked)
    with pytest.raises(UsageError, match=r"there is no file"):
        one(replace(asked, folder=None, dataset="drawn", split="val"))


def test_a_large_index_is_searched_by_torch(ready: SearchSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quick, "MOST_BYTES", 100)
    assert quick_search([replace(ready, engine="auto")], SilentReporter()) is None


def test_without_onnxruntime_torch_answers_and_the_extra_is_named_where_it_was_asked_for(
    ready: SearchSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_session, "onnxruntime", None)
    assert quick_search([replace(ready, engine="auto")], SilentReporter()) is None
    with pytest.raises(MissingExtraError, match=r"pip install 'mmx\[onnx\]'"):
        one(ready)


def test_an_engine_that_is_none_is_refused(home: Home) -> None:
    with pytest.raises(UsageError, match=r"--engine 'jax' is none\. There are: auto, torch, onnx"):
        quick_search([SearchSettings(query="a dog", home=home, engine="jax")], SilentReporter())


def test_a_whole_process_answers_without_torch_and_without_transformers(
    ready: SearchSettings, tmp_path: Path
) -> None:
    words = [
        "search",
        "a red square",
        "--in",
        str(ready.folder),
        "--run",
        "clip",
        "--home",
        str(ready.home.root),
    ]
    code = (
        f"import sys; sys.argv = {['mmx', *words, '--sheet', str(tmp_path / 's.png')]!r}\n"
        "from mmx.cli.app import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'transformers', 'datasets', 'matplotlib', 'faiss', 'duckdb'} & set(sys.modules)\n"
        "sys.exit(f'loaded: {heavy}' if heavy else 0)\n"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    assert "'a red square' in 7 images" in finished.stdout and (tmp_path / "s.png").is_file()
