"""Which row of foreign vectors belongs to which record and caption: by id or file name, never by place
alone.
"""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from mmx.core.errors import ArtifactError
from mmx.core.record import Record
from mmx.store.images import IMAGE_SUFFIXES

CAPTION_COLUMNS = ("caption", "captions", "text", "sentence", "raw")
Table = Mapping[str, Sequence[str]]


def key_column(source: str, table: Table, records: Sequence[Record]) -> list[str]:
    """The ids of the table's rows, from the column that names most of the records.

    Raises:
        ArtifactError: when no column names any of them.
    """
    wanted = {key for record in records for key in keys_of(record)}
    columns = {name: [plain(value) for value in values] for name, values in table.items()}
    hits = {
        name: len(wanted & set(values)) for name, values in columns.items() if name not in CAPTION_COLUMNS
    }
    best = max(hits, key=lambda name: hits[name], default=None)
    if best is None or not hits[best]:
        shown = {name: values[0] for name, values in columns.items()}
        raise ArtifactError(
            f"'{source}' names none of the records: its first row says {shown}, the first record is "
            f"'{records[0].id}' "
            f"({records[0].image}). Give an --ids file with the records' ids or file names."
        )
    return columns[best]


def image_rows(source: str, ids: Sequence[str], rows: int, records: Sequence[Record]) -> list[int]:
    """For each record the row of its vector among `rows`.

    The ids name each image once in the order of the rows, or once for each of its captions: then an image's
    row is the place
    of its id among the different ids.

    Raises:
        ArtifactError: when counts do not fit, or a record has no row.
    """
    distinct = list(dict.fromkeys(ids))
    if len(ids) == rows:
        # repeated rows of one image (a vector for each caption) are equal by making; the first one stands for
        # all
        place = {name: row for row, name in reversed(list(enumerate(ids)))}
    elif len(distinct) == rows:
        place = {name: row for row, name in enumerate(distinct)}
    else:
        raise ArtifactError(
            f"'{source}' names {len(distinct):,} images in {len(ids):,} rows, but there are {rows:,} "
            "image vectors. "
            "Give the ids in the order of the vectors, one a vector or one a caption."
        )
    return [_find(source, place, record) for record in records]


def text_rows(
    source: str,
    ids: Sequence[str],
    captions: Sequence[str] | None,
    rows: int,
    records: Sequence[Record],
    known: Sequence[Record],
) -> list[list[int]]:
    """For each record the rows of its captions' vectors, in the order of its captions.

    Args:
        source: the file of ids, for messages.
        ids: one a text row, or one an image; then the rows are the captions of the ids, one image after the
        other.
        captions: the caption of each text row where the file tells it; rows are then matched by their words.
        rows: how many text vectors there are.
        records: whose rows are asked for.
        known: all records of the corpus, to count the captions of ids that are not asked for.

    Raises:
        ArtifactError: when counts do not fit, or a caption has no row.
    """
    if len(ids) != rows:
        ids, captions = _spread(source, ids, rows, known), None
    of_id: dict[str, list[int]] = {}
    for row, name in enumerate(ids):
        of_id.setdefault(name, []).append(row)
    return [
        _caption_rows(source, of_id[_key(source, of_id, record)], captions, record) if record.captions else []
        for record in records
    ]


def caption_column(table: Table) -> Sequence[str] | None:
    """The captions of the table's rows, where it has them."""
    return next((table[name] for name in CAPTION_COLUMNS if name in table), None)


def keys_of(record: Record) -> tuple[str, ...]:
    """What a foreign file may call a record: its id, or its picture's name."""
    names = (record.id, record.image) if record.image else (record.id,)
    return tuple(dict.fromkeys(key for name in names for key in (name, plain(name))))


def plain(name: str) -> str:
    """A file name without folder, image suffix and caption number; any other name as it is."""
    name = name.strip().partition("#")[0]
    path = PurePosixPath(name.replace("\\", "/"))
    return path.stem if path.suffix.lower() in IMAGE_SUFFIXES else name


def _spread(source: str, ids: Sequence[str], rows: int, known: Sequence[Record]) -> list[str]:
    """One id a caption from one id an image."""
    counts = {key: len(record.captions) for record in known for key in keys_of(record)}
    stranger = next((name for name in ids if name not in counts), None)
    if stranger is not None:
        raise ArtifactError(
            f"'{source}' has {len(ids):,} rows for {rows:,} text vectors, and '{stranger}' is not in the "
            "dataset, so its "
            "captions cannot be counted. Give one id a text vector."
        )
    spread = [name for name in ids for _ in range(counts[name])]
    if len(spread) != rows:
        raise ArtifactError(
            f"the {len(ids):,} images of '{source}' have {len(spread):,} captions, but there are {rows:,} "
            "text vectors. "
            "Give one id a text vector."
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


def _find(source: str, place: Mapping[str, int], record: Record) -> int:
    return place[_key(source, place, record)]


def _key(source: str, held: Mapping[str, object], record: Record) -> str:
    key = next((key for key in keys_of(record) if key in held), None)
    if key is None:
        raise ArtifactError(
            f"'{source}' has no row for record '{record.id}' ({record.image}). Add it, or choose splits "
            "that it covers: --split."
        )
    return key
