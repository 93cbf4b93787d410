"""read_word_vectors: every form of text file, and every file that is none."""

from pathlib import Path

import pytest
import torch

from mmx.core.errors import ArtifactError
from mmx.store.word_vectors import read_word_vectors

GLOVE = "the 0.1 0.2 0.3\ndog 1 2 3\ncat -1 -2e-1 .5\n"


def written(folder: Path, text: str | bytes, name: str = "vectors.txt") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_the_words_asked_for_get_their_numbers_and_the_others_zeros(tmp_path: Path) -> None:
    vectors, found = read_word_vectors(written(tmp_path, GLOVE), ["cat", "unicorn", "dog", "cat"])

    assert found.tolist() == [True, False, True, True]
    assert found.dtype == torch.bool and vectors.dtype == torch.float32
    torch.testing.assert_close(
        vectors, torch.tensor([[-1, -0.2, 0.5], [0, 0, 0], [1, 2, 3], [-1, -0.2, 0.5]])
    )


def test_no_word_asked_for_still_gives_the_width(tmp_path: Path) -> None:
    vectors, found = read_word_vectors(str(written(tmp_path, GLOVE)), [])

    assert vectors.shape == (0, 3) and found.shape == (0,)


@pytest.mark.parametrize(
    "text",
    [
        "2 3\ndog 1 2 3\ncat 4 5 6\n",
        "2 3 \ndog 1 2 3 \ncat 4 5 6 \n",
        "dog 1 2 3\r\ncat 4 5 6\r\n",
        "dog 1 2 3\ncat 4 5 6",
        "dog 1 2 3\n\ncat 4 5 6\n\n",
        "dog 1 2 3\n. . . 7 7 7\nat dog@cat.com 8 8 8\ncat 4 5 6\ndog 9 9 9\n",
        "dog 1 2 3\n\xa0 7 7 7\ncat 4 5 6\n",
    ],
    ids=[
        "header",
        "fastText",
        "Windows",
        "no last newline",
        "blank lines",
        "spaces within words",
        "odd space",
    ],
)
def test_each_form_of_text_gives_the_same(tmp_path: Path, text: str) -> None:
    vectors, found = read_word_vectors(written(tmp_path, text), ["dog", "cat"])

    assert found.all()
    assert vectors.tolist() == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize(
    ("asked", "held"),
    [
        ("DOG", "dog"),
        ("american", "American"),
        ("t-shirt", "tshirt"),
        ("don't", "dont"),
        ("colour", "color"),
        ("multi-colored", "multi-coloured"),
        ("grey", "gray"),
        ("theater", "theatre"),
    ],
)
def test_a_word_is_found_under_a_spelling_near_to_it(tmp_path: Path, asked: str, held: str) -> None:
    vectors, found = read_word_vectors(written(tmp_path, f"{held} 5 6\n"), [asked])

    assert found.tolist() == [True] and vectors.tolist() == [[5, 6]]


def test_the_word_itself_comes_before_another_spelling_wherever_it_stands(tmp_path: Path) -> None:
    path = written(tmp_path, "color 1 1\nDog 2 2\ncolour 3 3\ndog 4 4\n")

    assert read_word_vectors(path, ["colour", "dog", "color"])[0].tolist() == [[3, 3], [4, 4], [1, 1]]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r"'.*vectors\.txt' is empty"),
        ("\n \n", "is empty"),
        (
            b"3 4\ndog\0\x01\x02\x03\x00",
            "is not text. Unpack an archive first; of word2vec's '.bin' save the text",
        ),
        (b"\x1f\x8b\x08\x00\x00", "is not text"),
        ("dog 1 2 3\ncat 1 2\n", "line 2 has 2 numbers where 3 are due"),
        ("dog 1 2 3\ncat 1 2 3 4\n", "line 2 has 4 numbers where 3 are due"),
        ("2 3\ndog 1 2\ncat 1 2\n", "line 2 has 2 numbers where 3 are due"),
        ("9 3\ndog 1 2 3\n", "promises 9 words and holds 1: it is cut short"),
        ("9 3\n", "holds no vectors of words: it begins with '9 3'"),
        ("dog\ncat\n", "holds no vectors of words: it begins with 'dog'"),
        ("dog\t1\t2\n", "holds no vectors of words"),
        ("<!DOCTYPE html>\n<html lang='en'>\n", "line 1: could not convert string to float"),
        ("the 1 2\ndog 1 x\n", "line 2: could not convert string to float: b'x'"),
        ("the 1 2\ndog 1 nan\n", "line 2 holds a number that is not finite"),
        ("the 1 2\ndog inf 1\n", "line 2 holds a number that is not finite"),
    ],
)
def test_a_file_that_holds_no_word_vectors_is_refused_with_what_is_wrong(
    tmp_path: Path, text: str | bytes, said: str
) -> None:
    with pytest.raises(ArtifactError, match=said):
        read_word_vectors(written(tmp_path, text), ["dog"])


@pytest.mark.parametrize("name", ["gone.txt", ""])
def test_a_file_that_is_not_there_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(ArtifactError, match=r"cannot be read: .* Name a text file of GloVe, word2vec or"):
        read_word_vectors(tmp_path / name, ["dog"])
