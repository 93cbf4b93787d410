"""What a condition may ask of the pictures of a gallery: a column each, in the order of its rows."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.compute as compute

from mmx.core.errors import DataError, UsageError
from mmx.store.entries import Entries
from mmx.store.gallery import Gallery
from mmx.store.image_paths import relative_path
from mmx.store.manifest import Manifest
from mmx.store.tables import SUFFIXES, read_table
from mmx.workflows.own_columns import MEANINGS
from mmx.workflows.search_settings import shown

NANOSECONDS = 1e9
SENTENCES = pyarrow.list_(pyarrow.string())
OWN = "own_"
"""Put before the name of a column of one's own that has the name of one of ours."""


def folder_columns(gallery: Gallery, own: Path | None = None) -> pyarrow.Table:
    """`id`, `folder`, `name`, `size` in bytes and `date` of photos, and the columns of a table of one's own.

    The date is when a photo says it was taken, else when its file was changed, in local time.

    Raises:
        DataError: when the table cannot be read.
        UsageError: when it names no pictures of the folder.
    """
    table = Entries.of(gallery.entries).table
    ids = _readable(table["id"])
    columns = {
        **_of_paths(ids),
        "size": table["size"],
        "date": pyarrow.array(map(_date, table["taken"].to_pylist(), table["mtime_ns"].to_pylist())),
    }
    return _with_own(columns, [] if own is None else _rows_of(own, ids.to_pylist(), gallery.source))


def split_columns(gallery: Gallery, manifest: Manifest, split: str) -> pyarrow.Table:
    """`id`, `folder`, `name`, `size`, `date`, `split`, `label`, `identity`, `sentiment` and `captions` of a
    split's pictures, and the columns that its own table had beside these.
    """
    known = {record.id: record for record in manifest.split(split)}
    records = [known[entry.id] for entry in gallery.entries]
    names = manifest.class_names
    labels = [None if record.label is None else names[record.label] for record in records]
    files = [_file(entry.path) for entry in gallery.entries]
    columns = {
        **_of_paths(pyarrow.array([record.image or "" for record in records], pyarrow.string())),
        "id": [record.id for record in records],
        "size": pyarrow.array([size for size, _ in files], pyarrow.int64()),
        "date": pyarrow.array([date for _, date in files], pyarrow.timestamp("us")),
        "split": [split] * len(records),
        "label": pyarrow.array(labels, pyarrow.string()),
        "identity": pyarrow.array([record.identity for record in records], pyarrow.int64()),
        "sentiment": pyarrow.array([record.sentiment for record in records], pyarrow.string()),
        "captions": pyarrow.array([list(record.captions) for record in records], SENTENCES),
    }
    return _with_own(columns, [record.extra for record in records])


def _of_paths(paths: pyarrow.Array) -> dict[str, pyarrow.Array]:
    return {
        "id": paths,
        "folder": compute.replace_substring_regex(paths, "/?[^/]*$", ""),
        "name": compute.replace_substring_regex(paths, "^.*/", ""),
    }


def _readable(names: pyarrow.ChunkedArray) -> pyarrow.ChunkedArray:
    """Names as text; what is no UTF-8 becomes a replacement sign."""
    try:
        return names.cast(pyarrow.string())
    except pyarrow.ArrowInvalid:
        texts = [name.decode("utf-8", "replace") for name in names.to_pylist()]
        return pyarrow.chunked_array([texts], pyarrow.string())


def _date(taken: str, mtime_ns: int) -> datetime:
    return datetime.fromisoformat(taken) if taken else datetime.fromtimestamp(mtime_ns / NANOSECONDS)


def _file(path: str) -> tuple[int | None, datetime | None]:
    """Size and time of a picture's file; nothing where it is gone."""
    try:
        status = Path(path).stat()
    except (OSError, ValueError):
        return None, None
    return status.st_size, datetime.fromtimestamp(status.st_mtime)


def _rows_of(own: Path, ids: Sequence[str], source: str) -> list[Mapping[str, Any]]:
    """The row of each picture in one's own table, the first where there are several; empty where none is."""
    if own.suffix.lower() not in SUFFIXES or own.suffix.lower() == ".parquet":
        raise UsageError(f"'{own}' is no table. Tables end in: .csv, .tsv, .jsonl, .ndjson, .json")
    rows = [row for _, row in read_table(own).rows]
    names = {name.lower(): name for row in rows[:1] for name in row}
    column = next((names[word] for word in MEANINGS["image"] if word in names), None)
    if column is None:
        raise DataError(
            f"'{own}' has no column that names pictures. It may be called: {', '.join(MEANINGS['image'][:4])}"
        )
    by_id: dict[str, Mapping[str, Any]] = {}
    for row in rows:
        by_id.setdefault(_relative(row.get(column)), {name: row[name] for name in row if name != column})
    found = [by_id.get(id, {}) for id in ids]
    if not any(found):
        raise UsageError(
            f"'{own}' names no picture of '{shown(source)}': its column '{column}' should hold paths such as "
            f"'{ids[0]}'."
        )
    return found


def _relative(name: Any) -> str:
    try:
        return relative_path(str(name))
    except ValueError:
        return ""


def _with_own(columns: dict[str, Any], rows: Sequence[Mapping[str, Any]]) -> pyarrow.Table:
    """Our columns, and one for each name in the rows, of the type that its values have in common."""
    own: dict[str, Any] = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        values = [row.get(name) for row in rows]
        own[f"{OWN}{name}" if name in columns else name] = _column(values)
    return pyarrow.table({**columns, **own})


def _column(values: Sequence[Any]) -> pyarrow.Array:
    """Numbers where all that is there reads as numbers, else text."""
    there = [value for value in values if value not in (None, "")]
    for kind in (int, float):
        try:
            if there and not any(isinstance(value, bool) for value in there):
                return pyarrow.array([None if value in (None, "") else kind(str(value)) for value in values])
        except (ValueError, TypeError, OverflowError, pyarrow.ArrowInvalid):
            continue
    return pyarrow.array([None if value is None else str(value) for value in values], pyarrow.string())
