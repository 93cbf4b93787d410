"""Entries: rows of an Arrow table that are entries when they are looked at."""

import numpy
import pytest

from mmx.store.entries import Captions, Entries, Entry, with_paths

PICTURES = (
    Entry("a.jpg", "/p/a.jpg", ("one", "two"), 7, 8, "2026-11-21T12:00:00", "d"),
    Entry("caf\udce9.jpg", "/p/caf\udce9.jpg"),
    Entry("z.jpg", "/p/z.jpg", ("three",), reason="damaged"),
)


def test_they_come_back_through_words_as_they_were() -> None:
    words = Entries.of(PICTURES).to_words()

    assert words.dtype == numpy.int64
    assert Entries.from_words(words) == PICTURES
    assert Entries.from_words(Entries.of(()).to_words()) == ()


def test_what_is_a_table_already_is_not_made_again() -> None:
    entries = Entries.of(PICTURES)
    assert Entries.of(entries) is entries


def test_they_are_a_sequence() -> None:
    entries = Entries.of(PICTURES)
    assert (len(entries), entries[-1], entries[:2]) == (3, PICTURES[2], list(PICTURES[:2]))
    assert tuple(entries) == PICTURES
    with pytest.raises(IndexError):
        entries[3]


@pytest.mark.parametrize("words", [numpy.empty(0, dtype=numpy.int64), numpy.ones(9, dtype=numpy.int64)])
def test_bytes_that_are_no_table_are_refused(words: numpy.ndarray) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Entries.from_words(words)


def test_captions_are_counted_in_any_part_of_a_table_and_in_none() -> None:
    whole = Entries.of([Entry(str(count), str(count), ("x",) * count) for count in (2, 0, 1, 3)])
    assert whole.caption_ends.tolist() == [2, 2, 3, 6]
    assert Entries(whole.table.slice(1, 3)).caption_ends.tolist() == [0, 1, 4]
    assert Entries.of([]).caption_ends.tolist() == []


def test_each_caption_knows_its_picture() -> None:
    captions = Captions(Entries.of(PICTURES))
    assert [(entry.id, caption) for entry, caption in captions] == [
        ("a.jpg", "one"), ("a.jpg", "two"), ("z.jpg", "three"),
    ]  # fmt: skip
    assert captions[-1][1] == "three"
    assert len(Captions(Entries.of(()))) == 0


def test_pictures_can_be_elsewhere() -> None:
    moved = with_paths(Entries.of(PICTURES[:2]), ["/q/1", "/q/\udce9"])
    assert [(entry.id, entry.path) for entry in moved] == [("a.jpg", "/q/1"), ("caf\udce9.jpg", "/q/\udce9")]
