"""Lettering: lines that fit, and text that no font could draw."""

from mmx.reports.lettering import font, printable, wrap


def test_wrapped_lines_fit_and_what_is_left_over_is_an_ellipsis() -> None:
    face = font(20)
    lines = wrap("a man riding a cycle down the long and dusty road to nowhere at all", face, 200, 2)
    assert len(lines) == 2
    assert all(face.getlength(line) <= 200 for line in lines)
    assert lines[0].startswith("a man riding")
    assert lines[1].endswith("…")
    assert wrap("a man", face, 200, 2) == ["a man"]
    assert wrap("", face, 200, 2) == []
    assert "".join(wrap("m" * 30, face, 200, 9)) == "m" * 30


def test_control_signs_become_spaces_and_half_letters_go() -> None:
    assert printable("a\tb\x1bc\ud800d\u200de") == "a b cde"
