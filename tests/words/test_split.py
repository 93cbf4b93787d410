"""split_words: the one rule by which a caption becomes words."""

import pytest

from mmx.words.split import split_words


@pytest.mark.parametrize(
    ("caption", "words"),
    [
        ("A dog, running: fast!", "a dog running fast"),
        ("a dog's ball", "a dog ball"),
        ("a dog 's ball", "a dog ball"),
        ("the dogs' balls", "the dogs balls"),
        ("the man’s hat", "the man hat"),
        ("it's wet", "it wet"),
        ("they don't run", "they don't run"),
        ("they do n't run ; they 're wet", "they don't run they're wet"),
        ("'small' rock 'n' roll", "small rock n roll"),
        ("a T-shirt", "a t-shirt"),
        ("dog - cat--bird -fish- –end", "dog cat bird fish end"),
        ("a snow‑covered hill", "a snow-covered hill"),
        ("2.5 m, 1,000 people,3rd", "2.5 m 1,000 people 3rd"),
        ("a_b c/d x&y (z)", "a b c d x y z"),
        ("u.s. flag", "u s flag"),
    ],
)
def test_punctuation_parts_words_but_not_within_a_compound_or_a_contraction(caption: str, words: str) -> None:
    assert split_words(caption) == words.split()


def test_the_same_words_come_out_whether_or_not_a_tokenizer_went_over_the_caption_before() -> None:
    raw = "The boy's dog doesn't jump, it's asleep."
    cut = "The boy 's dog does n't jump , it 's asleep ."

    assert split_words(raw) == split_words(cut)


@pytest.mark.parametrize(
    ("caption", "words"),
    [
        ("e\u0301clair CAFÉ", ["éclair", "café"]),
        ("ﬁne", ["fine"]),
        ("हिन्दी में कुत्ता", ["हिन्दी", "में", "कुत्ता"]),
        ("שלום 🐕 dog", ["שלום", "dog"]),
        ("soft\u00adhyphen zero\u200bwidth", ["softhyphen", "zero", "width"]),
        ("狗在跑", ["狗在跑"]),
    ],
)
def test_letters_of_any_script_are_kept_in_one_form(caption: str, words: list[str]) -> None:
    assert split_words(caption) == words


@pytest.mark.parametrize("caption", ["", " ", "...", "🐕!", "'", "- -- -", "'s"])
def test_a_caption_without_a_letter_or_digit_has_no_words(caption: str) -> None:
    assert split_words(caption) == []


def test_splitting_what_was_split_changes_nothing() -> None:
    words = split_words("They don't see a dog's snow-covered 2.5 m ball, the boys' 'n' girls' o'clock.")

    assert split_words(" ".join(words)) == words
