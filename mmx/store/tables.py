"""Tables as people keep them: CSV, TSV, JSON lines, a JSON list, or parquet; each row a dictionary."""

import csv
import io
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from mmx.core.errors import DataError
from mmx.core.plain_text import read_text

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet")
PARQUET_ROWS = 256


@dataclass
class Table:
    """Rows with the place each comes from; rows that could not be read, and remarks."""

    rows: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    rejects: list[dict[str, Any]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def read_table(path: Path) -> Table:
    """Every row of a table of text.

    Raises:
        DataError: when the file cannot be read as what its suffix says.
    """
    text, remarks = read_text(path)
    table = Table(remarks=remarks)
    suffix = path.suffix.lower()
    if suffix in {".csv", ".tsv"}:
        _read_delimited(table, path, text)
    elif suffix == ".json":
        _read_json_list(table, path, text)
    else:
        _read_json_lines(table, path, text)
    return table


def read_parquet(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows of a parquet file, a few at a time, since they may hold pictures.

    Raises:
        DataError: when it is not a parquet file.
    """
    try:
        file = pyarrow.parquet.ParquetFile(path)
        number = 0
        for batch in file.iter_batches(batch_size=PARQUET_ROWS):
            for row in batch.to_pylist():
                number += 1
                yield f"{path.name}: row {number}", row
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"'{path}' is not a whole parquet file ({error}). Fetch it again.") from error


def _read_delimited(table: Table, path: Path, text: str) -> None:
    csv.field_size_limit(sys.maxsize)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(path, text))
    try:
        header = [name.strip() for name in next(lines, [])]
        twice = [name for name in header if header.count(name) > 1]
        if twice:
            raise DataError(f"'{path}' has two columns '{twice[0]}'. Rename one.")
        for cells in lines:
            source = f"{path.name}:{lines.line_num}"
            if len(cells) == len(header):
                table.rows.append((source, dict(zip(header, cells, strict=True))))
            elif any(cell.strip() for cell in cells):
                reason = f"{len(cells)} cells, but the header has {len(header)} columns"
                table.rejects.append({"source": source, "value": ",".join(cells), "reason": reason})
    except csv.Error as error:
        raise DataError(
            f"'{path}' line {lines.line_num} is not CSV that can be read ({error}). Mend it."
        ) from error


def _delimiter(path: Path, text: str) -> str:
    """Tabs for .tsv; else whatever the header has most of."""
    if path.suffix.lower() == ".tsv":
        return "\t"
    header = text.split("\n", 1)[0]
    return max((",", ";", "\t", "|"), key=header.count)


def _read_json_lines(table: Table, path: Path, text: str) -> None:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        source = f"{path.name}:{number}"
        try:
            row = json.loads(line, parse_constant=_no_constant, object_pairs_hook=_unique)
        except ValueError as error:
            table.rejects.append({"source": source, "value": line, "reason": f"not JSON ({error})"})
            continue
        _add(table, source, row)


def _read_json_list(table: Table, path: Path, text: str) -> None:
    try:
        rows = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_unique)
    except ValueError as error:
        raise DataError(f"'{path}' is not whole JSON ({error}). Fetch or write it again.") from error
    if _is_class_split(rows):
        rows = [
            {"image": image, "label": name, "split": split}
            for split in rows
            for image, _, name in rows[split]
        ]
    if not isinstance(rows, list):
        raise DataError(
            f"'{path}' is no table: it holds no list of objects with named values. "
            "Give a CSV or JSON lines file, with a row for each picture and caption."
        )
    for number, row in enumerate(rows):
        _add(table, f"{path.name}: entry {number}", row)


def _is_class_split(value: Any) -> bool:
    """The form of CoOp's `split_zhou_*.json`: for each split a list of [path, label, class name]."""
    return (
        isinstance(value, dict)
        and bool(value)
        and all(
            isinstance(rows, list) and all(isinstance(row, list) and len(row) == 3 for row in rows)
            for rows in value.values()
        )
    )


def _add(table: Table, source: str, row: Any) -> None:
    if isinstance(row, dict):
        table.rows.append((source, row))
    else:
        table.rejects.append(
            {"source": source, "value": str(row), "reason": "not an object with named values"}
        )


def _no_constant(word: str) -> None:
    raise ValueError(f"'{word}' is not a JSON value")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        raise ValueError("a key stands twice")
    return row
