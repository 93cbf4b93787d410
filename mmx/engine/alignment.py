"""Which rows of foreign vectors belong to which record and caption: by their names, never by place alone."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from mmx.core.errors import ArtifactError
from mmx.core.record import Record
from mmx.engine.row_names import CAPTION_COLUMNS, RowNames, Table

ROUNDING = 0.01
"""Share of its largest number by which a vector may differ from another of the same picture or caption."""
ROWS_AT_ONCE = 64


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
        # backwards, so that of equal names the first row stays
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


def _refuse_differing(
    table: RowNames, names: Sequence[tuple[str, str]], vectors: Tensor, records: Sequence[Record]
) -> None:
    """Rows of one name (and caption) must hold one vector."""
    wanted = {table.key(record) for record in records}
    first: dict[tuple[str, str], int] = {}
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
    waiting: dict[str, list[int]] = {}
    for row in reversed(rows):
        waiting.setdefault(_words(captions[row]), []).append(row)
    found = []
    for caption in record.captions:
        held = waiting.get(_words(caption))
        if not held:
            raise ArtifactError(
                f"'{source}' has no row for the caption '{caption[:80]}' of '{record.id}'. Add it."
            )
        # equal captions get their rows in turn; the last row serves those that the table says but once
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
