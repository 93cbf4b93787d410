"""Files and queries that go wrong: each photo has a vector or a reason, and each query an answer or words."""

import os
from pathlib import Path

import pytest
import torch
from PIL import Image

from mmx.core.errors import UsageError
from mmx.core.home import Home
from mmx.core.reporter import SilentReporter
from mmx.workflows import index_state
from mmx.workflows.galleries import folder_index
from mmx.workflows.search import SearchResult
from mmx.workflows.search_settings import SearchSettings
from tests.workflows.stub_matcher import StubMatcher, search_with

RED, BLUE = (255, 0, 0), (0, 0, 255)


def look(home: Home, matcher: StubMatcher | None = None, **words: object) -> SearchResult:
    return search_with(matcher or StubMatcher(), SearchSettings(home=home, **words), SilentReporter())


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every kind of file that turns up among photos; those whose name begins with `ok` are red pictures."""
    folder = tmp_path / "zoo"
    folder.mkdir()
    red = Image.new("RGB", (64, 48), RED)
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(folder / "ok-cmyk.jpg", quality=95)
    red.convert("P").save(folder / "ok-palette.png")
    red.convert("RGBA").save(folder / "ok-alpha.png")
    Image.new("RGB", (1, 1), RED).save(folder / "ok-one.png")
    Image.new("RGB", (1, 20_000), RED).save(folder / "ok-long.png")
    red.save(folder / "ok-moving.gif", save_all=True, append_images=[Image.new("RGB", (64, 48), BLUE)])
    turned = Image.Exif()
    turned[0x0112] = 6
    red.save(folder / "ok-turned.jpg", exif=turned, quality=95)
    whole = (folder / "ok-turned.jpg").read_bytes()
    (folder / "half.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.jpg").touch()
    (folder / "text.jpg").write_text("no picture")
    (folder / "page.jpg").write_text("<!doctype html><html></html>")
    data = bytearray((folder / "ok-alpha.png").read_bytes())
    data[-20] ^= 255
    (folder / "sum.png").write_bytes(data)
    (folder / "folder.jpg").mkdir()
    os.mkfifo(folder / "pipe.jpg")
    (folder / "out.jpg").symlink_to("/etc/hostname")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    Image.new("1", (20_000, 20_000)).save(folder / "bomb.png")
    return folder


def test_every_file_of_a_folder_has_a_vector_or_a_reason(zoo: Path, home: Home) -> None:
    gallery = folder_index(StubMatcher(), zoo, home, SilentReporter()).gallery
    good = {path.name for path in zoo.iterdir() if path.name.startswith("ok")}
    assert {entry.id for entry in gallery.entries} == good
    assert torch.equal(gallery.image_vectors, torch.eye(4)[[0] * len(good)])
    reasons = {entry.id: entry.reason for entry in gallery.unreadable}
    assert {"half.jpg", "empty.jpg", "text.jpg", "page.jpg", "sum.png", "bomb.png"} <= set(reasons)
    assert all(reasons.values()) and "out.jpg" not in reasons
    assert all(state.problems == () for state in index_state.verify(zoo, home, SilentReporter()))


def test_what_cannot_be_read_is_not_tried_again_until_it_changes(zoo: Path, home: Home) -> None:
    folder_index(StubMatcher(), zoo, home, SilentReporter())
    again = StubMatcher()
    folder_index(again, zoo, home, SilentReporter())
    assert [name for name in again.encoded if name not in ("pipe.jpg", "folder.jpg")] == []
    Image.new("RGB", (9, 9), "blue").save(zoo / "text.jpg", quality=95)
    folder_index(again, zoo, home, SilentReporter())
    assert "text.jpg" in again.encoded
    assert look(home, query="blue", folder=zoo).hits[0].id == "text.jpg"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for colour in ("red", "blue"):
        Image.new("RGB", (8, 8), colour).save(folder / f"{colour}.png")
    return folder


@pytest.mark.parametrize(("vector", "words"), [(0.0, "is zero"), (torch.nan, "NaN"), (torch.inf, "infinity")])
def test_a_query_without_direction_is_refused_in_words(
    photos: Path, home: Home, vector: float, words: str
) -> None:
    matcher = StubMatcher()
    matcher.encode_texts = lambda captions: torch.full((1, 4), vector)
    with pytest.raises(UsageError, match=words):
        look(home, matcher, query="red", folder=photos)


def test_words_that_a_vocabulary_lacks_are_refused_and_others_are_not(photos: Path, home: Home) -> None:
    matcher = StubMatcher()
    matcher.knows = lambda sentence: "red" in sentence
    with pytest.raises(UsageError, match="no word of 'zzyzx' stands in the captions"):
        look(home, matcher, query="zzyzx", folder=photos)
    with pytest.raises(UsageError, match="no word of 'zzyzx'"):
        look(home, matcher, query="red - zzyzx", folder=photos)
    assert look(home, matcher, query="red zzyzx", folder=photos).hits[0].id == "red.png"


def test_a_condition_that_nothing_meets_and_a_cut_off_that_nothing_reaches_have_no_hits(
    photos: Path, home: Home
) -> None:
    assert look(home, query="red", folder=photos, where="size < 0").hits == ()
    assert look(home, query="green", folder=photos, min_score="0.5").hits == ()
    assert look(home, query="red", folder=photos, where="size < 0", collapse=0.98).hits == ()
