"""Pictures that lie beside those of a table, and that no row of it names."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from mmx.core.corpus import Reading
from mmx.core.record import Record
from mmx.store.image_paths import IMAGE_SUFFIXES


def said_of_unnamed(reading: Reading, records: Sequence[Record]) -> list[str]:
    """How many there are in the folders in which named ones lie, in a remark; none where all are named.

    Args:
        reading: where the pictures lie, and the rows left out, whose pictures are no unnamed ones.
        records: those of the reading, as a list.
    """
    named = {record.image for record in records if record.image is not None}
    named |= {str(reject["value"]) for reject in reading.rejects}
    folders = {PurePosixPath(record.image).parent.as_posix() for record in records if record.image}
    count = sum(
        1 for folder in folders for path in _pictures(reading.image_root, folder) if path not in named
    )
    if not count:
        return []
    if reading.pictures_optional:
        lacks = "belong to no post"
    else:
        lacks = f"have no {'caption' if any(record.captions for record in records) else 'label'}"
    return [f"{count:,} pictures of the folder {lacks} and are left out"]


def _pictures(root: Path, folder: str) -> Iterator[str]:
    """Paths of a folder's pictures, as a table writes them."""
    place = root / folder
    for name in os.listdir(place) if place.is_dir() else []:
        if name[0] != "." and PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES:
            yield (PurePosixPath(folder) / name).as_posix()
