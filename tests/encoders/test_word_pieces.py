"""From tokens back to words: pieces are joined, signs keep their names, nothing that was written is lost."""

from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from mmx.encoders.random_twins import random_text
from mmx.encoders.tokenizers import ModelTokenizer
from mmx.encoders.word_pieces import first_pieces, words_by_marks

PIECES = (
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "a",
    "snow",
    "-",
    "covered",
    "fris",
    "##bee",
    "dog",
    "'",
    "s",
    ".",
)


@pytest.fixture
def tokenizer(tmp_path: Path) -> ModelTokenizer:
    """A WordPiece tokenizer of a few pieces, as BERT has it."""
    vocabulary = {piece: number for number, piece in enumerate(PIECES)}
    made = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    made.normalizer, made.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    PreTrainedTokenizerFast(
        tokenizer_object=made,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
    ).save_pretrained(tmp_path)
    return ModelTokenizer(tmp_path, limit=12)


def test_pieces_are_joined_to_the_words_as_they_were_written(tokenizer: ModelTokenizer) -> None:
    """[CLS] A | Snow - covered | Fris ##bee | . [SEP]"""
    found = tokenizer.words(["A Snow-covered  Frisbee."])[0]

    assert found.words == ("[CLS]", "A", "Snow-covered", "Frisbee", ".", "[SEP]")
    assert found.of_token == (0, 1, 2, 2, 2, 3, 3, 4, 5)
    assert found.special == {0, 5}
    assert found.unknown == frozenset()


def test_a_word_that_the_model_does_not_know_is_shown_and_marked(tokenizer: ModelTokenizer) -> None:
    found = tokenizer.words(["a zebra [SEP]"])[0]

    assert found.words[:3] == ("[CLS]", "a", "zebra")
    assert found.unknown == {2}


@pytest.mark.parametrize("caption", ["", "   ", "a", "dog " * 50, "...", "日本 a\ndog"])
def test_every_token_has_its_word_and_every_word_a_token(tokenizer: ModelTokenizer, caption: str) -> None:
    for reader in (tokenizer, random_text("clip")._tokenizer):
        found, ids = reader.words([caption])[0], reader([caption])[0]
        assert len(found.of_token) == len(ids)
        assert sorted(set(found.of_token)) == list(range(len(found.words)))
        assert found.words[0].startswith("[")


def test_words_of_sentencepiece_begin_with_its_mark() -> None:
    pieces = ["▁a", "▁fris", "bee", "▁", "<unk>", "</s>"]

    found = words_by_marks(pieces, [False] * 5 + [True], [False] * 4 + [True, False])

    assert found.words == ("a", "frisbee", "<unk>", "</s>")
    assert found.of_token == (0, 1, 1, 2, 2, 3)
    assert (found.special, found.unknown) == ({3}, {2})


def test_the_first_piece_of_each_word_is_found_by_where_pieces_lie() -> None:
    words = ["RT", "Zimmermann", "!"]
    offsets = [None, (0, 2), (3, 9), (9, 13), (14, 15), None]

    assert first_pieces(words, offsets, cut=False) == [1, 2, 4]


def test_a_piece_that_begins_with_the_space_before_it_belongs_to_the_word_behind() -> None:
    assert first_pieces(["a", "b"], [(0, 1), (1, 3)], cut=False) == [0, 1]


def test_a_word_that_leaves_no_piece_has_the_place_of_the_word_before_it() -> None:
    words = ["a", "\ufe0f", "b", "\ufe0f"]

    assert first_pieces(words, [None, (0, 1), (4, 5), None], cut=False) == [1, 1, 2, 2]
    assert first_pieces(["\ufe0f", "b"], [None, (2, 3), None], cut=False) == [0, 1]


def test_words_behind_the_last_token_of_a_cut_post_have_no_place() -> None:
    assert first_pieces(["a", "b", "c"], [None, (0, 1), None], cut=True) == [1, -1, -1]
