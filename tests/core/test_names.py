"""Names: hyphen and underscore are the same; a wrong name gets the near one and the list."""

import pytest

from mmx.core.discover import find_corpus, find_method, names
from mmx.core.errors import UsageError
from mmx.core.names import canonical


def test_hyphen_underscore_and_case_are_the_same() -> None:
    assert canonical("Attention_CLIP") == canonical("attention-clip") == "attention-clip"
    assert find_method("attention_clip") is find_method("attention-clip")


def test_methods_and_corpora_are_found_by_their_files() -> None:
    assert "attention-clip" in names("mmx.methods")
    assert {"flickr8k", "flickr30k", "toy"} <= set(names("mmx.corpora"))


def test_an_unknown_method_is_answered_with_the_near_match_and_the_list() -> None:
    with pytest.raises(UsageError) as caught:
        find_method("atention-clip")

    assert "Did you mean 'attention-clip'" in str(caught.value)
    assert "mmx methods" in str(caught.value)


def test_an_unknown_corpus_is_answered_likewise() -> None:
    with pytest.raises(UsageError, match="flickr8k"):
        find_corpus("flickr8")
