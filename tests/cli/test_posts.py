"""Posts at the keyboard: prepared, learned from, measured and labelled, and the exit code of each mistake."""

import json
from functools import partial
from pathlib import Path

import pytest

from mmx.core.home import Home
from tests.post_corpus import write_posts, write_sentiments
from tests.typed import typed

TINY = ("--preset", "tiny", "--device", "cpu", "--set", "generator=none", "--set", "captioner=false")


@pytest.fixture
def mmx(home: Home, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch):
    """Runs a command line: its exit code, standard output and standard error."""

    return partial(typed, monkeypatch, capsys)


def test_posts_from_their_files_to_the_entities_of_new_ones(mmx, tmp_path: Path) -> None:
    folder, run = write_posts(tmp_path / "posts"), tmp_path / "run"
    new = tmp_path / "new.jsonl"
    rows = ({"text": "Anna met Bob"}, {"text": "x", "image": "gone.jpg"})
    new.write_text("\n".join(map(json.dumps, rows)))

    assert mmx("prepare", "posts", "--raw", folder)[0] == 0
    train = ("train", "muse", "--dataset", "posts", "--task", "tagging", "--epochs", "1", "--out", run, *TINY)
    code, out, _ = mmx(*train)
    assert code == 0 and "val f1_strict" in out
    code, out, _ = mmx("evaluate", run, "--device", "cpu")
    assert code == 0 and "f1 strict" in out and "type (strict)" in out and "gold entities by strict" in out
    assert "posts have no picture: a learned token stands in its place" in out
    code, out, err = mmx("predict", run, new, "--device", "cpu", "--json")
    document = json.loads(out)
    assert code == 0 and document["schema"] == "mmx.predict-posts/1" and len(document["posts"]) == 2
    assert "1 of 2 posts are read without their picture, the first: gone.jpg: missing" in err
    assert mmx("predict", run, new, "--device", "cpu")[0] == 0

    new.write_text(json.dumps({"text": "word " * 400, "image": "broken.jpg"}))
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    code, out, err = mmx("predict", run, new, "--device", "cpu")
    assert code == 0 and "370 words lie beyond the tokens that the run reads" in out
    assert "1 of 1 posts are read without their picture, the first: broken.jpg: " in err

    mistakes = [
        (("predict", run, tmp_path / "none.jsonl"), 3, "is not there. Give a .jsonl or .csv file"),
        (("predict", run, folder / "images" / "1.jpg"), 3, "is no table of posts"),
        (("evaluate", run, "--worst", "3"), 2, "ranks nothing: leave out --worst"),
        (("evaluate", run, "--gallery", tmp_path / "x.html"), 2, "ranks nothing: leave out --gallery"),
        (("evaluate", run, "--samples", "2"), 2, "this run makes up no captions and no pictures"),
        (("search", "a dog", "--run", run), 2, "does not match pictures and words"),
        (("train", "muse", "--dataset", "posts", "--task", "sentiment", *TINY), 3, "They are for tagging"),
        (("train", "muse", "--dataset", "posts", "--task", "tags", *TINY), 2, "task='tags' is not possible"),
        (("train", "muse", "--dataset", "posts", "--sweep", "theta", *TINY), 2, "--sweep 'theta'"),
        (
            ("train", "muse", "--dataset", "posts", "--set", "modalities=image", *TINY),
            2,
            "modalities=image leaves no words to tag",
        ),
    ]
    for words, wanted, said in mistakes:
        code, out, err = mmx(*words)
        assert (code, out) == (wanted, ""), words
        assert said in err and "Traceback" not in err, err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("IMGID:1\nParis\tE-LOC\n", "unknown tag 'E-LOC'"),
        ("IMGID:1\nParis\n", "not of the form token TAB tag"),
        ("IMGID:1\n", "a post without a word"),
        ("", "no posts are in"),
    ],
)
def test_files_of_nothing_but_broken_posts_end_with_their_line(
    mmx, tmp_path: Path, text: str, said: str
) -> None:
    if text:
        (tmp_path / "train.txt").write_text(text)

    code, _, err = mmx("prepare", "twitter2017", "--raw", tmp_path)

    assert code == 3 and said in err


def test_what_is_odd_in_posts_but_can_be_used_is_told(mmx, tmp_path: Path) -> None:
    """I- without B-, no IMGID, and a picture that does not decode."""
    posts = ["IMGID:1\nParis\tI-LOC\n", "Bob\tB-PER\n", "IMGID:3\nAnna\tB-PER\n"]
    (tmp_path / "train.txt").write_text("\n".join(posts))
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "1.jpg").write_bytes(b"\xff\xd8\xff no picture")

    code, out, err = mmx("prepare", "odd", "--raw", tmp_path, "--max-bad", "100%")

    shown = " ".join((out + err).split())
    assert code == 0 and "1 times I- follows no entity of its type" in shown
    assert "1 posts have no IMGID; they are kept without a picture" in shown
    assert "post kept without its picture" in shown


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"text": "Anna left", "tags": ["B-PER"]}, "1 tags for 2 words"),
        ({"text": "Anna", "tags": ["E-PER"]}, "unknown tag 'E-PER'"),
        ({"text": "", "sentiment": "positive"}, "no text"),
    ],
)
def test_own_posts_that_are_broken_end_with_code_3_and_the_row(
    mmx, tmp_path: Path, row: dict, said: str
) -> None:
    (tmp_path / "data.jsonl").write_text(json.dumps(row))

    code, out, err = mmx("prepare", "own", "--raw", tmp_path)

    assert code == 3 and said in err and "data.jsonl:1" in err and "Traceback" not in out + err


def test_an_unknown_sentiment_ends_with_code_3_and_its_row(mmx, tmp_path: Path) -> None:
    write_sentiments(tmp_path / "course", posts=1)
    (tmp_path / "course" / "train.txt").write_text("guid,tag\n0,glad\n")

    code, _, err = mmx("prepare", "course", "--raw", tmp_path / "course")

    assert code == 3 and "unknown tag 'glad'" in err and "train.txt:2" in err
