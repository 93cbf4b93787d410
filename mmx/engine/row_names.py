"""The names of the rows of a foreign table, and by which of them each record is found: its id, or its file.

A table may name records in one of several ways, and in any of its columns; the first way that names every
record is taken.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from mmx.core.errors import ArtifactError
from mmx.core.record import Record
from mmx.store.image_paths import IMAGE_SUFFIXES

CAPTION_COLUMNS = ("caption", "captions", "text", "sentence", "raw")
Table = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Way:
    """One way in which a table may name records."""

    whole: Callable[[Record], str]
    """The id or the path by which a record goes; empty where it has none."""
    bare: bool
    """Names are compared without folder, suffix and caption number."""

    def key(self, record: Record) -> str:
        """What the table must say to mean a record."""
        return self.name(self.whole(record))

    def name(self, value: str) -> str:
        """What a value of the table says."""
        return plain(value) if self.bare else value


def _id(record: Record) -> str:
    return record.id


def _path(record: Record) -> str:
    return record.image or ""


WAYS = (Way(_id, False), Way(_path, False), Way(_path, True), Way(_id, True))
"""In the order in which they are tried."""


@dataclass(frozen=True)
class RowNames:
    """The name of each row of a table, and the name by which each record is looked up among them."""

    source: str
    """The table's file, for messages."""
    names: Sequence[str]
    key: Callable[[Record], str]


def name_rows(source: str, table: Table, records: Sequence[Record], known: Sequence[Record]) -> RowNames:
    """The names of a table's rows, from the first column and way that names every record.

    Whole ids and paths go before bare file names, and columns of names before columns that only count.

    Args:
        source: the table's file, for messages.
        table: column -> values.
        records: whose rows are asked for.
        known: all records of the corpus; none may share a bare name with a record asked for.

    Raises:
        ArtifactError: when no column names any of the records, or a bare name means two of them.
    """
    columns = {
        name: [_whole(value) for value in values]
        for name, values in table.items()
        if name not in CAPTION_COLUMNS
    }
    counting = {name: _only_counts(values) for name, values in columns.items()}
    offers = [
        (way, name) for last in (False, True) for way in WAYS for name in columns if counting[name] == last
    ]
    named = [_named(way, columns[name], records) for way, name in offers]
    if not any(named):
        shown = {name: values[0] for name, values in table.items()}
        raise ArtifactError(
            f"'{source}' names none of the records: its first row says {shown}, the first record is "
            f"'{records[0].id}' ({records[0].image}). Give an --ids file with the records' ids or file names."
        )
    way, name = offers[named.index(max(named))]
    if way.bare:
        _refuse_shared_names(source, way, columns[name], records, known)
    return RowNames(source, [way.name(value) for value in columns[name]], way.key)


def plain(name: str) -> str:
    """A file name without folder, image suffix and caption number; any other name as it is."""
    name = name.strip().partition("#")[0]
    path = PurePosixPath(name.replace("\\", "/"))
    return path.stem if path.suffix.lower() in IMAGE_SUFFIXES else name


def _whole(value: str) -> str:
    """A value of the table without the number of a caption, as in `a/b.jpg#2`."""
    value = value.strip().replace("\\", "/")
    path, _, number = value.rpartition("#")
    is_caption = number.isdecimal() and PurePosixPath(path).suffix.lower() in IMAGE_SUFFIXES
    return path if is_caption else value


def _only_counts(values: Sequence[str]) -> bool:
    """Whether a column holds nothing but the places of its rows, from 0 or from 1."""
    return any(values == [str(row) for row in range(first, first + len(values))] for first in (0, 1))


def _named(way: Way, values: Sequence[str], records: Sequence[Record]) -> int:
    """How many of the records a column names."""
    said = {way.name(value) for value in set(values)} - {""}
    return sum(way.key(record) in said for record in records)


def _refuse_shared_names(
    source: str, way: Way, values: Sequence[str], records: Sequence[Record], known: Sequence[Record]
) -> None:
    """A bare name must mean one record and one value of the table."""
    wanted = {way.key(record) for record in records}
    for kind, wholes in (("records", map(way.whole, [*records, *known])), ("rows", dict.fromkeys(values))):
        first: dict[str, str] = {}
        for whole in wholes:
            name = way.name(whole)
            if name in wanted and first.setdefault(name, whole) != whole:
                raise ArtifactError(
                    f"'{source}' does not name every record by its whole id or path, and by file name alone "
                    f"the {kind} '{first[name]}' and '{whole}' are both '{name}'. Write whole ids, or paths "
                    "as the manifest has them."
                )
