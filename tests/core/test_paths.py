"""What is typed as a path is a path, whatever stands in it."""

from pathlib import Path

from mmx.core.paths import expanded
from mmx.search.query import parse_query


def test_the_home_of_a_user_is_found_and_an_unknown_user_is_left_as_typed() -> None:
    assert expanded("~/photos") == Path.home() / "photos"
    assert expanded(Path("~nobody-here/a.jpg")) == Path("~nobody-here/a.jpg")


def test_a_query_that_begins_with_an_unknown_user_names_a_picture() -> None:
    (term,) = parse_query("~0", frozenset({".jpg"}))
    assert term.picture == Path("~0")
