"""refresh: whatever was added, changed, moved or removed, the gallery equals one made from nothing."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmx.core.reporter import SilentReporter
from mmx.search import refresh as module
from mmx.search.photos import Photo, find_photos
from mmx.search.refresh import refresh
from mmx.store.gallery import Gallery

EMPTY = Gallery("photos", "f", (), torch.empty(0, 0), complete=False)


class Encoder:
    """A photo is a file that holds a number, or the word `bad` or `nan`; its vector points to that number."""

    def __init__(self) -> None:
        self.encoded: list[str] = []

    def __call__(self, paths: Sequence[Path], reporter: object) -> tuple[torch.Tensor, list[tuple[int, str]]]:
        vectors, failures = [], []
        for place, path in enumerate(paths):
            self.encoded.append(path.name)
            word = path.read_text() if path.is_file() else "bad"
            if word == "bad":
                failures.append((place, "not a picture"))
            else:
                vectors.append(torch.eye(8)[int(word) % 8] if word != "nan" else torch.full((8,), torch.nan))
        return (torch.stack(vectors) if vectors else torch.empty(0, 0)), failures


def look(folder: Path) -> tuple[Photo, ...]:
    return find_photos(folder, [".jpg"]).photos


def update(folder: Path, old: Gallery = EMPTY, encode: Encoder | None = None) -> Gallery:
    return refresh(look(folder), old, encode or Encoder(), lambda gallery: None, SilentReporter())[0]


def write(folder: Path, **files: str) -> None:
    for name, word in files.items():
        (folder / f"{name}.jpg").write_text(word)


def settle(folder: Path) -> None:
    """Make every file old enough that its time can be trusted."""
    for path in folder.glob("*.jpg"):
        os.utime(path, ns=(1_000_000_000_000, path.stat().st_mtime_ns - 10_000_000_000))


def same(left: Gallery, right: Gallery) -> bool:
    whole = (left.entries, left.unreadable, left.complete) == (
        right.entries,
        right.unreadable,
        right.complete,
    )
    return whole and torch.equal(left.image_vectors, right.image_vectors)


CHANGE = st.tuples(st.sampled_from("abcdef"), st.sampled_from(["1", "2", "3", "bad", "nan", "remove"]))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(CHANGE, max_size=6), min_size=1, max_size=4))
def test_any_history_of_changes_ends_in_the_gallery_made_from_nothing(
    tmp_path_factory: pytest.TempPathFactory, history: list[list[tuple[str, str]]]
) -> None:
    folder = tmp_path_factory.mktemp("photos")
    gallery = EMPTY
    for changes in history:
        for name, word in changes:
            (folder / f"{name}.jpg").unlink(missing_ok=True)
            if word != "remove":
                write(folder, **{name: word})
        gallery = update(folder, gallery)
        assert same(gallery, update(folder))


def test_only_new_and_changed_photos_are_encoded(tmp_path: Path) -> None:
    write(tmp_path, a="1", b="2", c="3")
    gallery = update(tmp_path)
    write(tmp_path, b="5", d="6")
    encode = Encoder()

    fresh = update(tmp_path, gallery, encode)

    assert encode.encoded == ["b.jpg", "d.jpg"]
    assert [entry.id for entry in fresh.entries] == ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]


def test_a_touched_or_moved_photo_keeps_its_vector(tmp_path: Path) -> None:
    write(tmp_path, a="1", b="2")
    gallery = update(tmp_path)
    os.utime(tmp_path / "a.jpg", ns=(1, 1))
    (tmp_path / "b.jpg").rename(tmp_path / "moved.jpg")
    encode = Encoder()

    fresh = update(tmp_path, gallery, encode)

    assert encode.encoded == []
    assert same(fresh, update(tmp_path))


def test_an_unchanged_folder_is_neither_read_nor_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, a="1", bad="bad")
    settle(tmp_path)
    gallery = update(tmp_path)
    monkeypatch.setattr(module, "digest", lambda path: pytest.fail("read"))

    kept, changes = refresh(
        look(tmp_path), gallery, Encoder(), lambda gallery: pytest.fail("written"), SilentReporter()
    )

    assert same(kept, gallery)
    assert (changes.encoded, changes.kept, changes.removed) == (0, 2, 0)


def test_a_photo_rewritten_within_one_tick_is_noticed(tmp_path: Path) -> None:
    """Same size, same time, other content: a time this near to now is not believed."""
    write(tmp_path, a="1")
    gallery = update(tmp_path)
    before = (tmp_path / "a.jpg").stat().st_mtime_ns
    write(tmp_path, a="2")
    os.utime(tmp_path / "a.jpg", ns=(before, before))

    assert same(update(tmp_path, gallery), update(tmp_path))


def test_unreadable_photos_are_listed_with_their_reasons(tmp_path: Path) -> None:
    write(tmp_path, a="1", b="bad", c="nan")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nothing.jpg")

    gallery = update(tmp_path)

    reasons = {entry.id: entry.reason for entry in gallery.unreadable}
    assert reasons == {
        "b.jpg": "not a picture",
        "c.jpg": "its vector holds NaN or infinity",
        "gone.jpg": "not a picture",
    }
    assert [entry.id for entry in gallery.entries] == ["a.jpg"]


def test_a_refresh_that_is_killed_goes_on_from_what_was_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PIECE", 2)
    monkeypatch.setattr(module, "SAVE_SECONDS", 0.0)
    monkeypatch.setattr(module, "SAVE_SHARE", 0)
    write(tmp_path, **{f"p{number}": str(number) for number in range(7)})
    saved: list[Gallery] = []

    class Killed(Encoder):
        def __call__(
            self, paths: Sequence[Path], reporter: object
        ) -> tuple[torch.Tensor, list[tuple[int, str]]]:
            if len(self.encoded) == 4:
                raise KeyboardInterrupt
            return super().__call__(paths, reporter)

    with pytest.raises(KeyboardInterrupt):
        refresh(look(tmp_path), EMPTY, Killed(), saved.append, SilentReporter())
    encode = Encoder()
    fresh = update(tmp_path, saved[-1], encode)

    assert not saved[-1].complete
    assert encode.encoded == ["p4.jpg", "p5.jpg", "p6.jpg"]
    assert same(fresh, update(tmp_path))
