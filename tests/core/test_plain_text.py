"""decode and clean_caption: whatever bytes people leave, the same words come out, and what was done."""

import pytest

from mmx.core.plain_text import LONGEST_CAPTION, clean_caption, decode

WORDS = "Ein Hund läuft 😀\nשלום"


@pytest.mark.parametrize(
    ("encoding", "told"),
    [
        ("utf-8", "utf-8"),
        ("utf-8-sig", "utf-8 with a byte-order mark"),
        ("utf-16", "utf-16-le"),
        ("utf-32", "utf-32-le"),
    ],
)
def test_marked_and_plain_unicode_is_read(encoding: str, told: str) -> None:
    decoded = decode(WORDS.encode(encoding))

    assert (decoded.text, decoded.encoding, decoded.odd_lines) == (WORDS, told, 0)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_without_a_mark_is_known_by_its_zeros(encoding: str) -> None:
    assert decode("a dog runs\n".encode(encoding)).text == "a dog runs\n"


def test_only_lines_that_are_not_utf8_are_read_as_western_ones() -> None:
    decoded = decode("größer\n".encode() + b"caf\xe9 \x93x\x94\n" + b"hole \x81\n")

    assert decoded.text == "größer\ncafé “x”\nhole \x81\n"
    assert (decoded.encoding, decoded.odd_lines) == ("mixed", 2)


def test_an_empty_file_is_empty_text() -> None:
    assert decode(b"").text == ""


def test_white_space_of_every_kind_becomes_single_spaces() -> None:
    assert clean_caption("\t a\r\n dog\u2028 runs\x00\x85fast ") == "a dog runs fast"


def test_emoji_with_joiners_and_right_to_left_text_stay_as_they_are() -> None:
    assert clean_caption("👩‍👩‍👧 שלום \u200f") == "👩‍👩‍👧 שלום \u200f"


@pytest.mark.parametrize(
    ("caption", "reason"),
    [
        ("", "empty"),
        (" \t\n", "empty"),
        ("x" * 100_000, "100,000 characters"),
        ("half \ud83d", "surrogate"),
    ],
)
def test_what_is_no_caption_has_a_reason(caption: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        clean_caption(caption)


def test_the_longest_caption_is_taken() -> None:
    assert len(clean_caption("x" * LONGEST_CAPTION)) == LONGEST_CAPTION
