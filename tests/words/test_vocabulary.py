"""Vocabulary: counted by hand on five captions, and what it promises of ids."""

import json

import pytest

from mmx.core.errors import ArtifactError, DataError
from mmx.words.vocabulary import END, SPECIAL, START, UNKNOWN, Vocabulary

CAPTIONS = (
    "A dog runs.",
    "a brown Dog runs",
    "a cat sleeps",
    "the dog sleeps",
    "a dog's ball",
)


def test_words_that_stand_often_enough_come_by_falling_count_and_then_by_alphabet() -> None:
    # a 4, dog 4, runs 2, sleeps 2; brown, cat, the, ball 1
    assert Vocabulary.count(CAPTIONS, least=2).words == (*SPECIAL, "a", "dog", "runs", "sleeps")
    assert Vocabulary.count(CAPTIONS).words == (*SPECIAL, "a", "dog")
    assert SPECIAL == ("<pad>", "<start>", "<end>", "<unk>")


def test_the_order_of_captions_does_not_matter() -> None:
    assert Vocabulary.count(CAPTIONS, 1) == Vocabulary.count(reversed(CAPTIONS), 1)


def test_a_caption_is_framed_by_start_and_end_and_unknown_words_are_marked() -> None:
    vocabulary = Vocabulary.count(CAPTIONS, least=2)

    assert vocabulary.ids("A Dog barks", longest=10) == [START, 4, 5, UNKNOWN, END]
    assert vocabulary.ids("...", longest=10) == [START, END]
    assert vocabulary.ids("<pad> <end>", longest=10) == [START, UNKNOWN, UNKNOWN, END]


def test_a_long_caption_is_cut_and_still_ends() -> None:
    vocabulary = Vocabulary.count(CAPTIONS, least=2)

    assert vocabulary.ids("a dog runs " * 50, longest=5) == [START, 4, 5, 6, END]
    assert vocabulary.ids("a dog runs", longest=3) == [START, 4, END]
    with pytest.raises(ValueError, match="longest is 2"):
        vocabulary.ids("a dog", longest=2)


def test_it_survives_json() -> None:
    vocabulary = Vocabulary.count((*CAPTIONS, "un café été"), least=1)

    assert Vocabulary.from_values(json.loads(json.dumps(vocabulary.values()))) == vocabulary
    assert len(vocabulary) == 4 + 11


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"words": "dog"},
        {"words": ["a", "dog"]},
        {"words": [*SPECIAL, "dog", "dog"]},
        {"words": [*SPECIAL, 7]},
    ],
)
def test_what_is_no_vocabulary_is_refused(values: dict) -> None:
    with pytest.raises(ArtifactError, match=r"the vocabulary is broken.*<pad>, <start>, <end>, <unk>"):
        Vocabulary.from_values(values)


def test_no_word_often_enough_is_an_error_that_names_the_most_frequent() -> None:
    with pytest.raises(DataError, match=r"no word stands 4 times .* 'dog', stands 2 times"):
        Vocabulary.count(["dog cat", "dog"])
    with pytest.raises(DataError, match="they hold no word"):
        Vocabulary.count(["..."])


def test_the_words_behind_the_ids_stand_as_they_were_read_and_the_unknown_are_marked() -> None:
    vocabulary = Vocabulary.count(CAPTIONS, least=2)

    found = vocabulary.caption_words("A Dog's zebra runs", longest=5)

    assert found.words == ("<start>", "a", "dog", "zebra", "<end>")
    assert len(found.of_token) == len(vocabulary.ids("A Dog's zebra runs", longest=5))
    assert (found.special, found.unknown) == ({0, 4}, {3})
