"""Rows of foreign vectors find their records by name."""

import pytest
import torch

from mmx.core.errors import ArtifactError
from mmx.core.record import Record
from mmx.engine.alignment import image_rows, text_rows
from mmx.engine.row_names import Table, name_rows, plain

A = Record("7", "test", "photos/a.jpg", ("one", "two"))
B = Record("8", "test", "photos/b.jpg", ("three",))
CAT = Record("r1", "test", "cat/1.jpg", ("a cat",))
DOG = Record("r2", "test", "dog/1.jpg", ("a dog",))


def _images(ids: list[str], rows: int, records: list[Record], known: list[Record] | None = None) -> list[int]:
    """The rows of vectors that are all equal."""
    return image_rows(name_rows("f", {"id": ids}, records, known or records), torch.ones(rows, 2), records)


def _texts(table: Table, rows: int, records: list[Record], known: list[Record]) -> list[list[int]]:
    """The rows of vectors that are all equal."""
    names, vectors = name_rows("f", table, records, known), torch.ones(rows, 2)
    return text_rows(names, table.get("caption"), vectors, records, known)


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

    assert name_rows("ids.csv", table, [A, B], [A, B]).names == ["b", "a"]
    with pytest.raises(ArtifactError, match=r"ids\.csv' names none of the records.*'7'"):
        name_rows("ids.csv", {"id": ["x"]}, [A, B], [A, B])


def test_a_column_that_only_counts_is_the_last_to_be_believed() -> None:
    records = [Record(str(number), "test", f"{name}.jpg") for number, name in enumerate("ab")]
    table = {"": ["0", "1"], "path": ["b.jpg", "a.jpg"]}

    assert image_rows(name_rows("f", table, records, records), torch.ones(2, 2), records) == [1, 0]
    assert _images(["0", "1"], 2, records) == [0, 1]


def test_whole_paths_tell_apart_pictures_of_one_file_name() -> None:
    assert _images(["dog/1.jpg", "cat/1.jpg"], 2, [CAT, DOG]) == [1, 0]
    assert _images(["dog/1.jpg#0", "dog/1.jpg#1", "cat/1.jpg#0"], 3, [CAT, DOG]) == [2, 0]
    assert _images(["r2", "r1"], 2, [CAT, DOG]) == [1, 0]
    assert _texts({"id": ["dog/1.jpg", "cat/1.jpg"]}, 2, [CAT, DOG], [CAT, DOG]) == [[1], [0]]


@pytest.mark.parametrize("asked", [[CAT, DOG], [DOG]])
def test_a_file_name_of_two_records_is_refused_and_both_are_named(asked: list[Record]) -> None:
    with pytest.raises(ArtifactError, match=r"records '(cat|dog)/1.jpg' and '(cat|dog)/1.jpg' are both '1'"):
        _images(["../cat/1.jpg", "../dog/1.jpg"], 2, asked, [CAT, DOG])
    with pytest.raises(ArtifactError, match=r"records '(cat|dog)/1.jpg' and '(cat|dog)/1.jpg' are both '1'"):
        _texts({"id": ["1", "1"]}, 2, asked, [CAT, DOG])


def test_a_file_name_of_two_rows_is_refused_and_both_are_named() -> None:
    with pytest.raises(ArtifactError, match=r"rows 'x/1\.jpg' and 'y/1\.jpg' are both '1'"):
        _images(["x/1.jpg", "y/1.jpg"], 2, [CAT])


def test_two_rows_of_one_image_hold_one_vector() -> None:
    names = name_rows("f", {"id": ["b", "a", "a"]}, [A, B], [A, B])
    rounded = torch.tensor([[5.0, 1.0], [1.0, 2.0], [1.0, 2.001]])

    assert image_rows(names, rounded, [A, B]) == [1, 0]
    with pytest.raises(ArtifactError, match="'f' names 'a' for the rows 1 and 2, whose vectors differ"):
        image_rows(names, torch.tensor([[5.0, 1.0], [1.0, 2.0], [2.0, 1.0]]), [A, B])
    assert image_rows(names, torch.tensor([[5.0, 1.0], [1.0, 2.0], [2.0, 1.0]]), [B]) == [0]


def test_two_rows_of_one_caption_hold_one_vector() -> None:
    names = name_rows("f", {"id": ["b", "b"]}, [B], [B])

    assert text_rows(names, ["three", " three"], torch.ones(2, 2), [B], [B]) == [[0]]
    with pytest.raises(ArtifactError, match="names 'b' for the rows 0 and 1, whose vectors differ"):
        text_rows(names, ["three", " three"], torch.eye(2), [B], [B])


def test_images_are_named_once_each_or_once_a_caption() -> None:
    assert _images(["b", "a"], 2, [A, B]) == [1, 0]
    assert _images(["b", "a", "a"], 2, [A, B]) == [1, 0]
    assert _images(["b", "a", "a"], 3, [A, B]) == [1, 0]
    with pytest.raises(ArtifactError, match="names 2 images in 3 rows, but there are 4 image vectors"):
        _images(["b", "a", "a"], 4, [A, B])
    with pytest.raises(ArtifactError, match="no row for record '7'"):
        _images(["b", "c"], 2, [A, B])


def test_captions_are_told_apart_by_their_words_where_the_file_has_them() -> None:
    table = {"id": ["a", "b", "a"], "caption": ["two", "three", " one "]}

    assert _texts(table, 3, [A, B], [A, B]) == [[2, 0], [1]]
    with pytest.raises(ArtifactError, match="no row for the caption 'two' of '7'"):
        _texts({**table, "caption": ["2", "three", "one"]}, 3, [A, B], [A, B])


def test_equal_captions_of_one_image_take_their_rows_in_order() -> None:
    twice = Record("9", "test", "c.jpg", ("same", "same"))

    assert _texts({"id": ["c", "c"], "caption": ["same", "same"]}, 2, [twice], [twice]) == [[0, 1]]


def test_without_captions_rows_are_counted_and_never_guessed() -> None:
    assert _texts({"id": ["a", "b", "a"]}, 3, [A, B], [A, B]) == [[0, 2], [1]]
    assert _texts({"id": ["b", "a"]}, 3, [A], [A, B]) == [[1, 2]]
    with pytest.raises(ArtifactError, match="has 1 text rows for '7', which has 2 captions"):
        _texts({"id": ["a", "b"]}, 2, [A, B], [A, B])
    with pytest.raises(ArtifactError, match="have 3 captions, but there are 4 text vectors"):
        _texts({"id": ["a", "b"]}, 4, [A, B], [A, B])
    with pytest.raises(ArtifactError, match="'z' is not in the dataset"):
        _texts({"id": ["a", "z"]}, 4, [A, B], [A, B])
