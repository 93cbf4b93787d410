"""mmx search: the words on the screen, the exit codes, and output that programs can read."""

import json
import os
import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from mmx import methods
from mmx.core.home import Home
from mmx.core.reporter import SilentReporter
from mmx.workflows.train import TrainSettings, train
from tests.typed import typed
from tests.workflows.evaluated_home import fresh_home

Run = Callable[..., tuple[int, str, str]]
MODEL = ("--model", "random:clip")
STUBS = Path(__file__).parents[1] / "two_stage"


@pytest.fixture
def run(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Type a command in an empty folder; exit code, standard output, standard error."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)

    return partial(typed, monkeypatch, capsys, "search")


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


def test_lines_of_json_and_paths_for_xargs(run: Run, photos: Path) -> None:
    _, out, _ = run("red", "blue", "--in", str(photos), *MODEL, "--jsonl", "--top", "2")
    lines = [json.loads(line) for line in out.splitlines()]
    assert [(line["query"]["text"], line["rank"]) for line in lines] == [
        ("red", 1), ("red", 2), ("blue", 1), ("blue", 2),
    ]  # fmt: skip
    _, out, _ = run("red", "--in", str(photos), *MODEL, "--print0")
    assert out.count("\0") == 3 and all(Path(path).is_file() for path in out.split("\0")[:-1])


def test_several_queries_have_a_table_and_a_sheet_each(run: Run, photos: Path) -> None:
    code, out, _ = run("a red thing", "blue - red", "--in", str(photos), *MODEL, "--html", "hits.html")
    assert code == 0 and "'a red thing'" in out and "'blue - red'" in out
    assert {path.name for path in Path.cwd().iterdir()} == {
        "mmx-search-1.png", "mmx-search-2.png", "hits-1.html", "hits-2.html"
    }  # fmt: skip


def test_what_was_written_is_opened_in_its_viewer(
    run: Run, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("typer.launch", opened.append)
    run("red", "--in", str(photos), *MODEL, "--open")
    code, _, err = run("red", "--in", str(photos), *MODEL, "--json", "--open")
    assert [Path(path).name for path in opened] == ["mmx-search.png"]
    assert code == 2 and "Add --html FILE" in err


def test_a_terminal_with_colours_shows_small_pictures(
    run: Run, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmx.cli.hits.pictures_in_terminal", lambda: "half-blocks")
    _, out, _ = run("red", "--in", str(photos), *MODEL, "--no-sheet")
    assert out.count("▀") >= 3 * 24
    monkeypatch.setattr("mmx.cli.hits.pictures_in_terminal", lambda: "kitty")
    _, out, _ = run("red", "--in", str(photos), *MODEL)
    assert "\x1b_Ga=T,f=100" in out


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
        (("red", "--json", "--paths"), 2, "--json and --paths are two forms"),
        (("red +",), 2, "empty"),
        (("red + https://example.org/a.jpg",), 2, "mmx fetches nothing"),
        (("red", "--min-score", "much"), 2, "'much' is neither a cosine"),
        (("red", "--in", ".", "--no-refresh", *MODEL), 4, "mmx index add"),
        (("red + ./absent.png", "--in", ".", *MODEL), 3, "'absent.png' cannot be read: missing"),
        (("red", "--html", "page.png"), 2, "It ends in: .html, .htm"),
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


@pytest.fixture
def two_stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """Words that name a run of two stages and its home."""
    monkeypatch.setattr(methods, "__path__", [*methods.__path__, str(STUBS)])
    home = fresh_home(tmp_path / "trained")
    out = home.runs / "two"
    train(TrainSettings("colour-pairs", "small", device="cpu", out=out, home=home.root), SilentReporter())
    return ("--home", str(home.root), "--run", "two", "--device", "cpu", "--split", "val")


def test_the_table_of_two_stages_shows_both_scores(run: Run, two_stages: tuple[str, ...]) -> None:
    code, out, err = run("green thing", *two_stages, "--top", "3", "--no-sheet")

    assert code == 0
    assert "cosine" in out and "2.000" in out and "1.000" in out
    assert "score: cosine + 1 x the second stage's, of the 100 nearest by cosine" in out
    assert "second look: 10 pictures in" in err


def test_the_second_stage_can_be_left_out(run: Run, two_stages: tuple[str, ...]) -> None:
    _, out, err = run("green thing", *two_stages, "--rerank-top", "0", "--no-sheet")

    assert "cosine" not in out and "second look" not in err


def test_json_tells_what_was_looked_at_twice(run: Run, two_stages: tuple[str, ...]) -> None:
    _, out, _ = run("green thing", *two_stages, "--json", "--top", "5", "--rerank-top", "2")

    document = json.loads(out)
    assert document["rerank"] == {"top": 2, "weight": 1.0}
    assert [hit.get("cosine") for hit in document["hits"]] == [1.0, 1.0, None, None, None]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--rerank-top", "-1"), "--rerank-top"),
        (("--rerank-top", "5", "--captions"), "looks again at pictures beside a sentence"),
        (("--rerank-top", "5", "--caption-qa", "photo.png"), "--rerank-top does not go with --caption-qa"),
    ],
)
def test_a_second_look_that_cannot_be_had_exits_with_2(
    run: Run, two_stages: tuple[str, ...], words: tuple[str, ...], message: str
) -> None:
    code, out, err = run("green thing", *two_stages, *words)

    assert (code, out) == (2, "")
    assert message in err and "Traceback" not in err


def test_a_run_without_a_second_stage_is_not_asked_for_one(run: Run, two_stages: tuple[str, ...]) -> None:
    code, _, err = run("green thing", *two_stages, "--run", "first", "--rerank-top", "5")

    assert code == 2 and "'first' has no second stage that has a say. Leave out --rerank-top 5." in err


def test_words_without_quotes_are_told_to_be_queries_of_their_own(run: Run, photos: Path) -> None:
    said = "searching for 3 queries, one a word; for one sentence quote it: mmx search "
    quiet = ("--in", str(photos), *MODEL, "--json")
    code, out, err = run("a", "red", "thing", *quiet)
    assert code == 0 and json.loads(out) and f'{said}"a red thing"' in " ".join(err.split())
    for queries in (("a red thing",), ("red",), ("red", "a blue thing"), ("red", "2:blue")):
        assert "one a word" not in run(*queries, *quiet)[2]


def test_a_folder_that_is_not_there_is_told_before_anything_is_loaded(
    run: Run, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr("mmx.workflows.search.open_searcher", never)
    code, out, err = run("red", "--in", str(photos.parent / "photo"), *MODEL)
    told = " ".join(err.split())
    assert (code, out) == (3, "")
    assert "photo' does not exist" in told and f"Did you mean '{photos}'?" in told
    assert "is not a folder" in run("red", "--in", str(photos / "one.png"), *MODEL)[2]


@pytest.mark.parametrize("spelling", ["../photos", "../photos/", "./../work/../photos", "../link"])
def test_a_folder_has_one_index_however_it_is_typed(
    run: Run, photos: Path, home: Home, spelling: str
) -> None:
    (photos.parent / "link").symlink_to(photos)
    run("red", "--in", str(photos), *MODEL, "--json")
    code, out, err = run("red", "--in", spelling, *MODEL, "--json")
    assert code == 0 and "new or changed" not in err
    assert len(list(home.indexes.iterdir())) == 1
    assert all(Path(hit["path"]).parent == photos for hit in json.loads(out)["hits"])


def test_the_condition_shown_after_a_mistake_can_be_typed(run: Run, photos: Path) -> None:
    code, _, err = run("red", "--in", str(photos), *MODEL, "--json", "--where", "nothing = 1")
    assert code == 2 and "split" not in err
    (shown,) = re.findall(r'Write for example: "(.+)"', " ".join(err.split()))
    assert run("red", "--in", str(photos), *MODEL, "--json", "--where", shown)[0] == 0
