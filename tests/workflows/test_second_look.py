"""Searching by two stages, with a method that knows the half of a colour first and the colour second.

The ten pictures of val have the colours 5 0 1 2 3 4 5 0 1 2 of red, green, blue, white, black, yellow; the
query's first word is its colour.
"""

import dataclasses
from pathlib import Path

import pytest
import torch
from PIL import Image

from mmx import methods
from mmx.core.errors import TrainingError, UsageError
from mmx.core.home import Home
from mmx.core.reporter import SilentReporter
from mmx.store.second_look import SecondLooks
from mmx.workflows.search import SearchResult, SearchSettings, search
from tests.workflows.evaluated_home import STUBS, add_two_stages, fresh_home


class Listener(SilentReporter):
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """The trained home with a run `two` of two stages."""
    monkeypatch.setattr(methods, "__path__", [*methods.__path__, str(STUBS)])
    home = fresh_home(tmp_path / "home")
    add_two_stages(home, "two")
    return home


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, colour in (("a", "red"), ("b", "green"), ("c", "black"), ("d", "green"), ("e", "blue")):
        Image.new("RGB", (30, 20 + ord(name)), colour).save(folder / f"{name}.png")
    return folder


def look(
    home: Home, name: str = "two", reporter: SilentReporter | None = None, **words: object
) -> SearchResult:
    settings = SearchSettings(home=home, device="cpu", run=Path(name))
    return search(dataclasses.replace(settings, **words), reporter or SilentReporter())


def ids(result: SearchResult) -> list[str]:
    return [hit.id for hit in result.hits]


def test_the_colour_asked_for_comes_first_and_both_scores_are_given(home: Home) -> None:
    """Green is colour 1, that of pictures 2 and 8; the half is that of 1, 2, 3, 7, 8 and 9."""
    result = look(home, query="green thing", split="val", top=4)

    assert ids(result) == ["val-2", "val-8", "val-1", "val-3"]
    assert [(hit.score, hit.cosine) for hit in result.hits] == [(2, 1), (2, 1), (1, 1), (1, 1)]
    assert result.rerank == {"top": 100, "weight": 1.0}
    document = result.document()
    assert document["rerank"] == result.rerank and document["hits"][0]["cosine"] == 1


def test_the_pictures_of_all_splits_are_looked_at_together(home: Home) -> None:
    result = look(home, query="yellow thing", top=99)

    assert result.size == 16 + 10 + 8
    best = [hit for hit in result.hits if hit.score == 2]
    assert {hit.source for hit in best} == {"small train", "small val", "small test"}
    assert [hit.score for hit in result.hits] == sorted((hit.score for hit in result.hits), reverse=True)


def test_what_is_farther_than_the_nearest_keeps_its_place_behind_them(home: Home) -> None:
    """The nearest two are 1 and 2, in the order of the split; 8 is green too but farther."""
    result = look(home, query="green thing", split="val", top=6, rerank_top=2)

    assert ids(result) == ["val-2", "val-1", "val-3", "val-7", "val-8", "val-9"]
    assert [hit.cosine for hit in result.hits] == [1, 1, None, None, None, None]
    assert "cosine" not in result.document()["hits"][2]


def test_more_are_looked_at_than_are_shown(home: Home) -> None:
    assert ids(look(home, query="blue thing", split="val", top=1)) == ["val-3"]
    assert ids(look(home, query="blue thing", split="val", top=1, rerank_top=1)) == ["val-1"]


def test_without_the_second_stage_the_order_is_the_first_ones(home: Home) -> None:
    result = look(home, query="green thing", split="val", top=3, rerank_top=0)

    assert ids(result) == ["val-1", "val-2", "val-3"]
    assert result.rerank is None and "rerank" not in result.document()
    assert [hit.cosine for hit in result.hits] == [None] * 3
    assert look(home, query="green thing", split="val", top=0).hits == ()


def test_captions_are_looked_at_beside_a_picture(home: Home, photos: Path) -> None:
    result = look(home, image=photos / "b.png", captions=True, split="val", top=7)

    assert [hit.caption.split()[0] for hit in result.hits] == ["green"] * 6 + ["red"]
    assert [hit.score for hit in result.hits] == [2] * 6 + [1]


def test_another_dataset_is_searched_by_both_stages(home: Home) -> None:
    """Its pictures begin with another colour, and so do its numbers."""
    result = look(home, query="green thing", dataset="other", split="test", top=2)

    assert {hit.score for hit in result.hits} >= {2.0} and all(
        "green" in hit.caption for hit in result.hits[:1]
    )


def test_photos_of_a_folder_are_looked_at_once_and_what_they_gave_is_kept(
    home: Home, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    write = SecondLooks.write
    monkeypatch.setattr(
        SecondLooks, "write", lambda self, digest, kept: (asked.append(digest), write(self, digest, kept))
    )

    first = look(home, query="green thing", folder=photos, rerank_top=4)
    made = len(asked)
    second = look(home, query="black thing", folder=photos, rerank_top=5)
    third = look(home, query="blue thing", folder=photos, rerank_top=5)

    assert ids(first) == ["b.png", "d.png", "a.png", "e.png", "c.png"]
    assert ids(second)[0] == "c.png" and ids(third)[0] == "e.png"
    assert (made, len(asked)) == (4, 5)


def test_what_is_kept_of_a_photo_goes_with_it_and_is_made_again_when_broken(home: Home, photos: Path) -> None:
    look(home, query="green thing", folder=photos)
    (kept,) = home.indexes.glob("*/second-look")
    files = sorted(kept.glob("*.safetensors"))
    assert len(files) == 5

    files[0].write_bytes(b"broken")
    (photos / "e.png").unlink()
    result = look(home, query="green thing", folder=photos)

    assert ids(result)[:2] == ["b.png", "d.png"] and len(list(kept.glob("*.safetensors"))) == 4


def test_pictures_of_a_corpus_that_go_through_the_towers_are_looked_at_once_too(home: Home) -> None:
    """They are known by the gallery, whose fingerprint is that of weights and corpus, and by their id."""
    kept = home.runs / "two" / "gallery" / "second-look"
    look(home, query="green thing", split="val", rerank_top=4)
    before = {path.name: path.stat().st_mtime_ns for path in (kept / "val").glob("*.safetensors")}

    look(home, query="green thing", split="val", rerank_top=6)
    after = {path.name: path.stat().st_mtime_ns for path in (kept / "val").glob("*.safetensors")}
    look(home, query="yellow thing", split="val", rerank_top=3, rebuild=True)

    assert len(before) == 4 and len(after) == 6 and before.items() <= after.items()
    assert len(list((kept / "val").glob("*.safetensors"))) == 3
    assert not (kept / "train").exists()


def test_a_picture_that_cannot_be_read_any_more_goes_behind_all_others_and_is_named(home: Home) -> None:
    listener = Listener()
    look(home, query="green thing", split="val", rerank_top=0)
    (home.dataset("small") / "images" / "val-2.png").write_bytes(b"")

    result = look(home, query="green thing", split="val", top=10, reporter=listener)

    assert ids(result)[:5] == ["val-8", "val-1", "val-3", "val-7", "val-9"] and ids(result)[-1] == "val-2"
    assert "val-2.png' cannot be read and is not looked at again: empty file" in listener.warnings[0]


def test_a_second_stage_of_weight_zero_does_not_look(home: Home) -> None:
    add_two_stages(home, "idle", weight=0.0)

    assert look(home, "idle", query="green thing", split="val").rerank is None
    with pytest.raises(
        UsageError, match=r"'idle' has no second stage that has a say. Leave out --rerank-top 5"
    ):
        look(home, "idle", query="green thing", rerank_top=5)


def test_a_query_that_makes_no_pair_with_what_it_finds_is_not_looked_at(home: Home, photos: Path) -> None:
    assert look(home, image=photos / "a.png", folder=photos).rerank is None
    assert look(home, query="green thing", captions=True, split="val").rerank is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"query": "green", "rerank_top": -1}, "--rerank-top -1 is not possible"),
        ({"query": "green", "captions": True, "rerank_top": 5}, "looks again at pictures beside a sentence"),
        ({"image": Path("a.png"), "rerank_top": 5}, "looks again at pictures beside a sentence"),
        ({"query": "green", "run": Path("first"), "rerank_top": 5}, "'first' has no second stage"),
        (
            {"query": "green", "run": None, "model": "random:clip", "dataset": "small", "rerank_top": 5},
            "'random:clip' has no second stage",
        ),
    ],
)
def test_wishes_that_cannot_be_had_are_refused(home: Home, words: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        look(home, **words)


def test_a_score_that_is_no_number_names_its_picture(home: Home) -> None:
    """Infinitely often nothing is no number; picture 1 is the nearest."""
    add_two_stages(home, "broken", weight=float(torch.finfo(torch.float32).max) * 10)

    with pytest.raises(TrainingError, match="the fine score of 'val-1' is not a finite number"):
        look(home, "broken", query="green thing", split="val")
