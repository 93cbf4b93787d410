"""read_table and read_parquet: rows with the place they come from; what is broken is told by line."""

from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from mmx.core.errors import DataError
from mmx.store.tables import read_parquet, read_table


def table_of(folder: Path, name: str, content: str | bytes) -> object:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", 'image,caption\na.jpg,"x, ""y"""\n'),
        ("a.csv", 'image;caption\na.jpg;x, "y"\n'),
        ("a.tsv", 'image\tcaption\na.jpg\t"x, ""y"""\n'),
        ("a.csv", '\ufeffimage,caption\r\na.jpg,"x, ""y"""\r\n'),
        ("a.jsonl", '{"image": "a.jpg", "caption": "x, \\"y\\""}\n\n'),
        ("a.json", '[{"image": "a.jpg", "caption": "x, \\"y\\""}]'),
    ],
)
def test_every_kind_of_table_gives_the_same_rows(tmp_path: Path, name: str, content: str) -> None:
    table = table_of(tmp_path, name, content)

    assert [row for _, row in table.rows] == [{"image": "a.jpg", "caption": 'x, "y"'}]
    assert not table.rejects


def test_a_row_with_too_many_or_too_few_cells_is_left_out_by_line(tmp_path: Path) -> None:
    table = table_of(tmp_path, "a.csv", "image,caption\na.jpg,x,y\n\nb.jpg\nc.jpg,z\n")

    assert [row["source"] for row in table.rejects] == ["a.csv:2", "a.csv:4"]
    assert table.rows == [("a.csv:5", {"image": "c.jpg", "caption": "z"})]


def test_a_column_twice_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="two columns 'caption'"):
        table_of(tmp_path, "a.csv", "image,caption,caption\n")


@pytest.mark.parametrize("line", ['{"a": ', '{"a": NaN}', '{"a": 1, "a": 2}', "[1]", "3"])
def test_a_line_that_is_no_object_is_left_out_by_line(tmp_path: Path, line: str) -> None:
    table = table_of(tmp_path, "a.jsonl", f'{{"a": "ok"}}\n{line}\n')

    assert [row["source"] for row in table.rejects] == ["a.jsonl:2"]
    assert len(table.rows) == 1


@pytest.mark.parametrize("content", ["[{", "{}", "3"])
def test_a_json_file_without_a_list_is_an_error(tmp_path: Path, content: str) -> None:
    with pytest.raises(DataError, match=r"a\.json"):
        table_of(tmp_path, "a.json", content)


def test_a_list_of_classes_for_each_split_is_a_table(tmp_path: Path) -> None:
    table = table_of(tmp_path, "a.json", '{"train": [["a.jpg", 0, "cat"]], "test": [["b.jpg", 1, "dog"]]}')

    assert [row for _, row in table.rows] == [
        {"image": "a.jpg", "label": "cat", "split": "train"},
        {"image": "b.jpg", "label": "dog", "split": "test"},
    ]


def test_lines_of_another_encoding_are_counted(tmp_path: Path) -> None:
    table = table_of(tmp_path, "a.csv", b"image,caption\na.jpg,caf\xe9\n")

    assert table.rows[0][1]["caption"] == "café"
    assert "1 lines are not UTF-8" in table.remarks[0]


def test_parquet_gives_rows_with_their_numbers(tmp_path: Path) -> None:
    rows = [{"image": f"{number}.jpg", "caption": ["a", "b"]} for number in range(3)]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "a.parquet")

    assert list(read_parquet(tmp_path / "a.parquet"))[2] == ("a.parquet: row 3", rows[2])


def test_a_truncated_parquet_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and no more")

    with pytest.raises(DataError, match=r"a\.parquet.*not a whole parquet"):
        list(read_parquet(tmp_path / "a.parquet"))
