"""mmx prepare on the screen: tables, JSON, words and exit codes."""

import json
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from mmx.core.home import Home
from tests.typed import typed

SMALL = ("--set", "scenes=20", "--set", "size=32")


@pytest.fixture
def mmx(home: Home, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture):
    """Types a command; gives exit code, standard output and standard error."""

    return partial(typed, monkeypatch, capfd)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Twelve pictures, one of which is missing."""
    folder = tmp_path / "raw"
    folder.mkdir()
    for number in range(12):
        Image.new("RGB", (40, 30), (number * 20, 255 - number * 20, 99)).save(folder / f"{number}.png")
    lines = [f"{number}.png,a caption {number}" for number in range(12)] + ["gone.png,nothing"]
    (folder / "captions.csv").write_text("\n".join(["image,caption", *lines]))
    return folder


def test_the_table_counts_each_split_and_says_where_it_was_written(mmx, home: Home) -> None:
    code, out, err = mmx("prepare", "toy", *SMALL)

    assert code == 0
    assert "images" in out and "captions" in out and "classes" not in out
    assert all(word in out for word in ("train", "16", "80", "val", "test"))
    assert f"written to {home.dataset('toy')}" in out
    assert err.rstrip().endswith("next: mmx train attention-clip --dataset toy --preset offline")
    assert "checking pictures: 20 images in" in err
    assert "concepts, all that there are, from 80 training captions: " in " ".join(out.split())


def test_json_is_one_document_and_nothing_else(mmx) -> None:
    code, out, err = mmx("prepare", "toy", *SMALL, "--json")
    document = json.loads(out)

    assert (code, document["schema"]) == (0, "mmx.prepare/1")
    assert document["splits"]["train"] == {"images": 16, "captions": 80, "classes": 0, "identities": 0}
    assert "next:" not in err
    assert document["rejects"] == [] and len(document["fingerprint"]) == 32


def test_what_was_wrong_stands_in_a_table_of_its_own(mmx, raw: Path) -> None:
    code, out, _ = mmx("prepare", "mine", "--raw", raw, "--max-bad", "20%")

    assert code == 0
    assert "picture missing" in out and "left out" in out and "gone.png" in out
    assert "no splits are given: split 80/10/10 by image with seed 0" in out


def test_too_many_bad_rows_exit_3(mmx, raw: Path) -> None:
    code, out, err = mmx("prepare", "mine", "--raw", raw)

    assert (code, out) == (3, "")
    assert "mmx: 1 of 13 records (7.7%) are bad; --max-bad allows 1.0%. picture missing: 1" in err
    assert "Mend them, or leave them out with --max-bad 8%. List them all with: --dry-run" in err


def test_a_dry_run_says_that_nothing_was_written(mmx, raw: Path, home: Home) -> None:
    code, out, _ = mmx("prepare", "mine", "--raw", raw, "--no-images", "--dry-run")

    assert code == 0
    assert "picture not at hand" in out and "nothing was written (--dry-run)" in out
    assert not home.root.exists()


def test_a_wrong_name_exits_2_with_the_near_one(mmx) -> None:
    code, _, err = mmx("prepare", "flikr8k")

    assert code == 2
    assert "there is no dataset 'flikr8k'. Did you mean 'flickr8k'?" in err
    assert "add --raw with a folder" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("toy", "--set", "scenes"), "is not a setting"),
        (("toy", "--set", "scenes=few"), "whole number from 10 to 50000"),
        (("toy", "--set", "scens=50"), "Did you mean 'scenes'?"),
        (("toy", "--set", "concept=50"), "Did you mean 'concepts'?"),
        (
            ("toy", "--set", "concepts=0"),
            "concepts='0' is not possible. It is a whole number from 1 to 5000.",
        ),
        (("toy", *SMALL, "--set", "concepts=400"), "Ask for fewer: --set concepts="),
        (("toy", "--on-error", "shrug"), "It is one of: skip, fail."),
        (("toy", "--max-bad", "lots"), "is not a share"),
        (("toy", "--workers", "0"), "--workers"),
    ],
)
def test_wrong_options_exit_2_and_say_what_is_possible(mmx, words: tuple[str, ...], said: str) -> None:
    code, _, err = mmx("prepare", *words)

    assert code == 2
    assert said in err


def test_a_missing_folder_exits_3(mmx) -> None:
    code, _, err = mmx("prepare", "flickr8k", "--raw", "/nowhere")

    assert code == 3
    assert "there is no folder '/nowhere'. Expected in it: Flickr8k.token.txt" in err


def test_a_home_that_cannot_be_written_exits_6(mmx, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    code, _, err = mmx("prepare", "toy", "--home", tmp_path / "file")

    assert code == 6
    assert "cannot be written" in err
