"""mmx index copy, and an index by its address: words on the screen, exit codes, documents for programs."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from mmx.core.home import Home
from tests.search.milvus_home import milvus_file
from tests.typed import typed

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return partial(typed, monkeypatch, capsys)


def test_an_index_goes_to_milvus_is_searched_there_and_comes_back(
    run: Run, home: Home, tmp_path: Path
) -> None:
    photos, file = tmp_path / "photos", milvus_file(tmp_path)
    photos.mkdir()
    for name in ("red", "green", "blue"):
        Image.new("RGB", (32, 24), name).save(photos / f"{name}.png")
    run("index", "add", str(photos), "--model", "random:clip")

    code, out, err = run("index", "copy", str(photos), file, "--kind", "hnsw")
    assert code == 0 and "recall@10 against exact: 100.0% for 3 of its photos" in out
    assert "Traceback" not in err and "WARNING" not in err

    document = json.loads(run("index", "copy", str(photos), file, "--json")[1])
    assert (document["schema"], document["sent"], document["kept"]) == ("mmx.index-copy/1", 0, 3)
    assert document["kind"] == "hnsw"

    asked = ("search", "a red thing", "--json")
    there = json.loads(run(*asked, "--index", file)[1])
    here = json.loads(run(*asked, "--in", str(photos), "--model", "random:clip", "--engine", "torch")[1])
    assert there["hits"] == here["hits"] and len(here["hits"]) == 3

    code, out, _ = run("index", "info", file)
    assert code == 0 and "hnsw" in out and "random:clip" in out
    code, out, _ = run("index", "verify", file)
    assert code == 0 and "whole" in out and "0 photos are new" in out
    assert run("index", "copy", file, str(tmp_path / "back.safetensors"))[0] == 0
    assert run("index", "remove", file)[0] == 0
    assert run("index", "info", file)[0] == 4


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("index", "info", "http://127.0.0.1:1"), 4, "'http://127.0.0.1:1' gives no answer"),
        (("search", "x", "--index", "https://127.0.0.1:1#photos"), 4, "gives no answer"),
        (("index", "copy", "nowhere", "http://me:secret@127.0.0.1:1"), 4, "has no index"),
        (("index", "info", "http://me:secret@127.0.0.1:1"), 2, "MMX_MILVUS_TOKEN=user:password"),
        (("search", "x", "--index", "photos"), 4, "A folder of photos is searched with --in DIR"),
        (("search", "x", "--index", "p.db", "--in", "photos"), 2, "--in does not go with --index"),
        (("index", "copy", "p.db", "p.db"), 2, "copied to itself"),
    ],
)
def test_what_goes_wrong_has_its_code_and_is_said_in_a_line(
    run: Run, words: tuple[str, ...], code: int, said: str
) -> None:
    got, out, err = run(*words)
    assert (got, out) == (code, "") and said in err
    assert "secret" not in err and "Traceback" not in err
