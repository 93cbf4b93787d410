"""Words of grammar: those that stand in any caption, and marks."""

import pytest

from mmx.words.grammar import is_grammar


@pytest.mark.parametrize("word", ["a", "The", "of", "with", "is", "her", ".", "--", "…", "'"])
def test_grammar_and_marks(word: str) -> None:
    assert is_grammar(word)


@pytest.mark.parametrize("word", ["dog", "red", "runs", "two", "2", "日本", "t-shirt", "[CLS]"])
def test_words_that_say_what_is_seen(word: str) -> None:
    assert not is_grammar(word)
