"""Unchanged: a folder of which a refresh would have nothing to do, and no other."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from mmx.search.photos import JUST_NOW_NS, Photo
from mmx.search.unchanged import unchanged
from mmx.store.entries import Entries, Entry

OLD = time.time_ns() - 10 * JUST_NOW_NS
GOOD = Entries.of(
    [Entry("a.png", "/p/a.png", (), 5, OLD, "", "d1"), Entry("b\udce9.png", "/p/b", (), 6, OLD, "", "d2")]
)
BAD = Entries.of([Entry("c.png", "/p/c.png", (), 7, OLD, "", "d3", "damaged")])
PHOTOS = [
    Photo(name, Path(name), size, OLD) for name, size in (("a.png", 5), ("b\udce9.png", 6), ("c.png", 7))
]


def test_the_same_photos_are_unchanged_those_that_cannot_be_read_included() -> None:
    assert unchanged(PHOTOS, GOOD, BAD)
    assert unchanged([], Entries.of(()), Entries.of(()))


@pytest.mark.parametrize("change", [{"size": 8}, {"mtime_ns": OLD + 1}, {"id": "z.png"}])
def test_a_photo_of_another_size_time_or_name_is_a_change(change: dict) -> None:
    assert not unchanged([replace(PHOTOS[0], **change), *PHOTOS[1:]], GOOD, BAD)


def test_one_more_or_one_less_is_a_change() -> None:
    assert not unchanged(PHOTOS[:2], GOOD, BAD)
    assert not unchanged([*PHOTOS, replace(PHOTOS[0], id="d.png")], GOOD, BAD)


def test_a_file_that_changed_just_now_may_change_again_unseen() -> None:
    now = time.time_ns()
    entries = Entries.of([Entry("a.png", "/p/a.png", (), 5, now, "", "d1")])
    assert not unchanged([replace(PHOTOS[0], mtime_ns=now)], entries)


def test_a_photo_whose_content_could_not_be_read_is_looked_at_again() -> None:
    assert not unchanged(PHOTOS[:1], Entries.of([Entry("a.png", "/p/a.png", (), 5, OLD, "", "")]))
