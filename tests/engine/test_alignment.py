"""Rows of foreign vectors find their records by name."""

import pytest

from mmx.core.errors import ArtifactError
from mmx.core.record import Record
from mmx.engine.alignment import image_rows, key_column, plain, text_rows

A = Record("7", "test", "photos/a.jpg", ("one", "two"))
B = Record("8", "test", "photos/b.jpg", ("three",))


def test_a_file_name_is_known_without_folder_suffix_and_number() -> None:
    assert [plain(name) for name in ("x/y/a.JPG", "a.jpg#3", "a\n", "v1.2", r"c:\x\a.png")] == [
        "a",
        "a",
        "a",
        "v1.2",
        "a",
    ]


def test_the_column_that_names_the_records_is_found() -> None:
    table = {"number": ["0", "1"], "path": ["../img/b.jpg", "../img/a.jpg"], "caption": ["7", "8"]}

    assert key_column("ids.csv", table, [A, B]) == ["b", "a"]
    with pytest.raises(ArtifactError, match=r"ids\.csv' names none of the records.*'7'"):
        key_column("ids.csv", {"id": ["x"]}, [A, B])


def test_images_are_named_once_each_or_once_a_caption() -> None:
    assert image_rows("f", ["b", "a"], 2, [A, B]) == [1, 0]
    assert image_rows("f", ["b", "a", "a"], 2, [A, B]) == [1, 0]
    assert image_rows("f", ["b", "a", "a"], 3, [A, B]) == [1, 0]
    with pytest.raises(ArtifactError, match="names 2 images in 3 rows, but there are 4 image vectors"):
        image_rows("f", ["b", "a", "a"], 4, [A, B])
    with pytest.raises(ArtifactError, match="no row for record '7'"):
        image_rows("f", ["b", "c"], 2, [A, B])


def test_captions_are_told_apart_by_their_words_where_the_file_has_them() -> None:
    ids, captions = ["a", "b", "a"], ["two", "three", " one "]

    assert text_rows("f", ids, captions, 3, [A, B], [A, B]) == [[2, 0], [1]]
    with pytest.raises(ArtifactError, match="no row for the caption 'two' of '7'"):
        text_rows("f", ids, ["2", "three", "one"], 3, [A, B], [A, B])


def test_equal_captions_of_one_image_take_their_rows_in_order() -> None:
    twice = Record("9", "test", "c.jpg", ("same", "same"))

    assert text_rows("f", ["c", "c"], ["same", "same"], 2, [twice], [twice]) == [[0, 1]]


def test_without_captions_rows_are_counted_and_never_guessed() -> None:
    assert text_rows("f", ["a", "b", "a"], None, 3, [A, B], [A, B]) == [[0, 2], [1]]
    assert text_rows("f", ["b", "a"], None, 3, [A], [A, B]) == [[1, 2]]
    with pytest.raises(ArtifactError, match="has 1 text rows for '7', which has 2 captions"):
        text_rows("f", ["a", "b"], None, 2, [A, B], [A, B])
    with pytest.raises(ArtifactError, match="have 3 captions, but there are 4 text vectors"):
        text_rows("f", ["a", "b"], None, 4, [A, B], [A, B])
    with pytest.raises(ArtifactError, match="'z' is not in the dataset"):
        text_rows("f", ["a", "z"], None, 4, [A, B], [A, B])
