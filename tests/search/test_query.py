"""Queries: how a sum is read, and which vector it is."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmx.core.errors import UsageError
from mmx.search.query import Term, combine, parse_query

SUFFIXES = {".jpg", ".png"}


def read(said: str) -> list[tuple[float, str]]:
    return [(term.weight, term.text or f"file {term.picture}") for term in parse_query(said, SUFFIXES)]


@pytest.mark.parametrize(
    ("said", "terms"),
    [
        ("man riding cycle", [(1, "man riding cycle")]),
        ("2: dog + ./pool.jpg - fruit", [(2, "dog"), (1, "file pool.jpg"), (-1, "fruit")]),
        ("2:golden retriever + ./a b.jpg", [(2, "golden retriever"), (1, "file a b.jpg")]),
        ("- fruit", [(-1, "fruit")]),
        (".5: red - 0.25: t-shirt", [(0.5, "red"), (-0.25, "t-shirt")]),
        ("12:30 train", [(1, "12:30 train")]),
        ("black-and-white c++ A+", [(1, "black-and-white c++ A+")]),
        ('"black - and + white" + "a.jpg"', [(1, "black - and + white"), (1, "a.jpg")]),
        ("pool.JPG", [(1, "file pool.JPG")]),
        ("a photo named pool.jpg", [(1, "a photo named pool.jpg")]),
        ("/photos/x", [(1, "file /photos/x")]),
    ],
)
def test_how_a_query_is_read(said: str, terms: list[tuple[float, str]]) -> None:
    assert read(said) == terms


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("", "empty"),
        ("dog +", "empty"),
        ("dog + - cat", "empty"),
        ("0: dog", "no weight"),
        ('a "dog', "not closed"),
        ("http://example.org/a.jpg", "web address"),
        ("dog + HTTPS://example.org/a.jpg", "web address"),
    ],
)
def test_what_cannot_be_read_is_refused(said: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse_query(said, SUFFIXES)


@given(st.text('+-": .0125ab/\0\n', max_size=40))
def test_any_text_is_read_or_refused(said: str) -> None:
    try:
        assert parse_query(said, SUFFIXES)
    except UsageError as error:
        assert str(error)


def test_a_name_of_several_words_is_a_picture_if_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my pool.jpg").touch()
    assert read("my pool.jpg") == [(1, "file my pool.jpg")]


def test_a_sum_by_hand() -> None:
    """(2, 0) + (0, 1) - (0, 0, ..): 2/sqrt 5 and 1/sqrt 5."""
    terms = parse_query("2: x + y", SUFFIXES)
    found = combine(terms, torch.eye(2), "2: x + y")
    torch.testing.assert_close(found, torch.tensor([[2.0, 1.0]]) / 5**0.5)
    torch.testing.assert_close(combine(parse_query("- x", SUFFIXES), torch.eye(2)[:1], ""), -torch.eye(2)[:1])


def test_one_sentence_keeps_its_vector_to_the_bit() -> None:
    vector = torch.tensor([[0.1, 0.7, 0.3]])
    assert combine([Term(1.0, "x")], vector, "x") is vector


def test_terms_that_cancel_out_and_vectors_without_direction_are_refused() -> None:
    vectors = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    with pytest.raises(UsageError, match="'x - y' cancel"):
        combine(parse_query("x - y", SUFFIXES), vectors, "x - y")
    for value, words in ((0.0, "'x' is zero"), (torch.nan, "'x' holds NaN")):
        with pytest.raises(UsageError, match=words):
            combine([Term(1.0, "x")], torch.full((1, 2), value), "x")
