"""mmx search: the words on the screen, the exit codes, and output that programs can read."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from mmx.cli.app import main
from mmx.core.home import Home

Run = Callable[..., tuple[int, str, str]]
MODEL = ("--model", "random:clip")


@pytest.fixture
def run(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Type a command in an empty folder; exit code, standard output, standard error."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)

    def typed(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["mmx", "search", *words])
        with pytest.raises(SystemExit) as left:
            main()
        shown = capsys.readouterr()
        return int(left.value.code or 0), shown.out, shown.err

    return typed


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, colour in (("one", "red"), ("two", "green"), ("three", "blue")):
        Image.new("RGB", (32, 24), colour).save(folder / f"{name}.png")
    (folder / "bad.jpg").write_text("no picture")
    return folder


def test_a_table_and_a_sheet_in_the_current_folder(run: Run, photos: Path) -> None:
    code, out, err = run("a red thing", "--in", str(photos), *MODEL)
    assert code == 0
    for words in ("a red thing", "rank", "score", "one.png", "two.png", "three.png"):
        assert words in out
    assert out.splitlines()[-1].endswith("mmx-search.png")
    with Image.open("mmx-search.png") as sheet:
        assert sheet.width == 1600
    assert "1 of 4 pictures" in err
    assert "'bad.jpg'" in err


def test_json_is_one_document_and_makes_no_sheet_unasked(run: Run, photos: Path) -> None:
    code, out, _ = run("red", "--in", str(photos), *MODEL, "--json", "--top", "2")
    document = json.loads(out)
    assert code == 0
    assert document["schema"] == "mmx.search/1"
    assert [hit["rank"] for hit in document["hits"]] == [1, 2]
    assert set(document["hits"][0]) == {"rank", "score", "id", "path", "caption", "source"}
    assert [Path(bad["path"]).name for bad in document["unreadable"]] == ["bad.jpg"]
    assert list(Path.cwd().iterdir()) == []


def test_paths_are_lines_that_lead_to_files(run: Run, photos: Path) -> None:
    code, out, _ = run("red", "--in", str(photos), *MODEL, "--paths", "--sheet", "asked.png")
    assert code == 0
    assert len(out.splitlines()) == 3
    assert all(Path(line).is_file() for line in out.splitlines())
    assert Path("asked.png").is_file()


def test_a_picture_is_nearest_to_itself(run: Run, photos: Path) -> None:
    code, out, _ = run(
        "--image", str(photos / "two.png"), "--in", str(photos), *MODEL, "--paths", "--top", "1"
    )
    assert (code, out) == (0, f"{photos / 'two.png'}\n")


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ((), 2, "nothing to look for"),
        (("  ",), 2, "nothing to look for"),
        (("red", "--top", "-1"), 2, "--top"),
        (("red", "--image", "a.png"), 2, "two queries"),
        (("red", "--nonsense"), 2, "--nonsense"),
        (("red", "--in", "absent", *MODEL), 3, "--in DIR"),
        (("red",), 4, "mmx train attention-clip"),
        (("red", "--run", "absent"), 4, "absent"),
        (("red", "--dataset", "absent", *MODEL), 4, "mmx prepare absent"),
        (("red", "--in", ".", "--model", "file:absent"), 4, "absent"),
        (("red", "--sheet", "/dev/null/sheet.png"), 6, "cannot be written"),
    ],
)
def test_each_mistake_has_its_words_and_its_code(
    run: Run, words: tuple[str, ...], code: int, message: str
) -> None:
    left, out, err = run(*words)
    assert (left, out) == (code, "")
    assert message in err
    assert "Traceback" not in err


def test_a_closed_pipe_is_a_quiet_end(run: Run, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader is gone before the first line."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as closed:
        monkeypatch.setattr(sys, "stdout", closed)
        code, _, err = run("red", "--in", str(photos), *MODEL, "--json")
    assert code in (0, 1)
    assert "Traceback" not in err
    assert "BrokenPipe" not in err
