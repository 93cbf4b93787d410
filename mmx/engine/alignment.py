"""Which row of foreign vectors belongs to which record and caption: by id or file name, never by place
alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import torch
from torch import Tensor

from mmx.core.errors import ArtifactError
from mmx.core.record import Record
from mmx.store.image_paths import IMAGE_SUFFIXES

CAPTION_COLUMNS = ("caption", "captions", "text", "sentence", "raw")
ROUNDING = 0.01
"""Share of its largest number by which a vector may differ from another of the same picture or caption."""
ROWS_AT_ONCE = 64
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


def image_rows(table: RowNames, vectors: Tensor, records: Sequence[Record]) -> list[int]:
    """For each record the row of its vector.

    The table names each image once in the order of the rows, or once for each of its captions: then an
    image's row is the place of its name among the different names.

    Args:
        table: the names of the rows.
        vectors: [N, ...].
        records: whose rows are asked for.

    Raises:
        ArtifactError: when counts do not fit, a record has no row, or two rows of one image differ.
    """
    distinct, rows = list(dict.fromkeys(table.names)), len(vectors)
    if len(table.names) == rows:
        place = {name: row for row, name in reversed(list(enumerate(table.names)))}
    elif len(distinct) == rows:
        place = {name: row for row, name in enumerate(distinct)}
    else:
        raise ArtifactError(
            f"'{table.source}' names {len(distinct):,} images in {len(table.names):,} rows, but there are "
            f"{rows:,} image vectors. Give the ids in the order of the vectors, one a vector or one a "
            "caption."
        )
    found = [place[_key(table, place, record)] for record in records]
    if len(table.names) == rows:
        _refuse_differing(table, [(name, "") for name in table.names], vectors, records)
    return found


def text_rows(
    table: RowNames,
    captions: Sequence[str] | None,
    vectors: Tensor,
    records: Sequence[Record],
    known: Sequence[Record],
) -> list[list[int]]:
    """For each record the rows of its captions' vectors, in the order of its captions.

    Args:
        table: a name for each text row, or one for each image; then the rows are the captions of the images,
            one image after the other.
        captions: the caption of each text row where the file tells it; rows are then matched by their words.
        vectors: [C, F].
        records: whose rows are asked for.
        known: all records of the corpus, to count the captions of those that are not asked for.

    Raises:
        ArtifactError: when counts do not fit, a caption has no row, or two rows of one caption differ.
    """
    names = table.names
    if len(names) != len(vectors):
        names, captions = _spread(table, len(vectors), known), None
    of_name: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        of_name.setdefault(name, []).append(row)
    found = [
        _caption_rows(table.source, of_name[_key(table, of_name, record)], captions, record)
        if record.captions
        else []
        for record in records
    ]
    if captions is not None:
        said = [(name, _words(caption)) for name, caption in zip(names, captions, strict=True)]
        _refuse_differing(table, said, vectors, records)
    return found


def caption_column(table: Table) -> Sequence[str] | None:
    """The captions of the table's rows, where it has them."""
    return next((table[name] for name in CAPTION_COLUMNS if name in table), None)


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


def _refuse_differing(
    table: RowNames, names: Sequence[tuple[str, str]], vectors: Tensor, records: Sequence[Record]
) -> None:
    """Rows of one name (and caption) must hold one vector."""
    wanted, first = {table.key(record) for record in records}, {}
    pairs = [
        (first[name], row)
        for row, name in enumerate(names)
        if name[0] in wanted and first.setdefault(name, row) != row
    ]
    for begin in range(0, len(pairs), ROWS_AT_ONCE):
        some = torch.tensor(pairs[begin : begin + ROWS_AT_ONCE])
        one, other = (vectors.index_select(0, rows).flatten(1).float() for rows in some.T)
        apart = (one - other).abs().amax(dim=1) > ROUNDING * one.abs().amax(dim=1)
        for row, again in some[apart].tolist():
            raise ArtifactError(
                f"'{table.source}' names '{names[row][0]}' for the rows {row} and {again}, whose vectors "
                "differ. Give each vector the id that is its own."
            )


def _spread(table: RowNames, rows: int, known: Sequence[Record]) -> list[str]:
    """One name a caption from one name an image."""
    counts = {table.key(record): len(record.captions) for record in known}
    stranger = next((name for name in table.names if name not in counts), None)
    if stranger is not None:
        raise ArtifactError(
            f"'{table.source}' has {len(table.names):,} rows for {rows:,} text vectors, and '{stranger}' is "
            "not in the dataset, so its captions cannot be counted. Give one id a text vector."
        )
    spread = [name for name in table.names for _ in range(counts[name])]
    if len(spread) != rows:
        raise ArtifactError(
            f"the {len(table.names):,} images of '{table.source}' have {len(spread):,} captions, but there "
            f"are {rows:,} text vectors. Give one id a text vector."
        )
    return spread


def _caption_rows(
    source: str, rows: Sequence[int], captions: Sequence[str] | None, record: Record
) -> list[int]:
    if captions is None:
        if len(rows) != len(record.captions):
            raise ArtifactError(
                f"'{source}' has {len(rows)} text rows for '{record.id}', which has "
                f"{len(record.captions)} captions. "
                "Give a csv with a 'caption' column, so that they can be told apart."
            )
        return list(rows)
    waiting = {}
    for row in reversed(rows):
        waiting.setdefault(_words(captions[row]), []).append(row)
    found = []
    for caption in record.captions:
        held = waiting.get(_words(caption))
        if not held:
            raise ArtifactError(
                f"'{source}' has no row for the caption '{caption[:80]}' of '{record.id}'. Add it."
            )
        found.append(held.pop() if len(held) > 1 else held[0])
    return found


def _words(caption: str) -> str:
    return " ".join(caption.split())


def _key(table: RowNames, held: Mapping[str, object], record: Record) -> str:
    key = table.key(record)
    if not key or key not in held:
        raise ArtifactError(
            f"'{table.source}' has no row for record '{record.id}' ({record.image}). Add it, or choose "
            "splits that it covers: --split."
        )
    return key
