"""Pictures in a folder for each class, perhaps in a folder for each split."""

import os
from collections.abc import Sequence
from pathlib import Path

from mmx.core.corpus import Reading
from mmx.core.record import Record
from mmx.store.image_paths import IMAGE_SUFFIXES
from mmx.workflows.own_columns import PICTURE_FOLDERS, SPLIT_WORDS


def read_class_folders(folder: Path) -> Reading | None:
    """`<class>/picture`, or `<split>/<class>/picture`; or these under a folder named images; None without."""
    for root in [folder, *(folder / name for name in PICTURE_FOLDERS)]:
        if not root.is_dir():
            continue
        inner = _folders(root)
        by_split = {place: SPLIT_WORDS.get(place.name.lower()) for place in inner}
        if inner and all(by_split.values()):
            found = [(split or "", place) for outer, split in by_split.items() for place in _folders(outer)]
        else:
            found = [("", place) for place in inner]
        found = [(split, place) for split, place in found if _pictures(place)]
        classes = sorted({place.name for _, place in found})
        if len(classes) > 1:
            return Reading(_class_records(root, found, classes), root, tuple(classes), ("a folder a class",))
    return None


def _class_records(root: Path, found: Sequence[tuple[str, Path]], classes: Sequence[str]) -> list[Record]:
    labels = {name: place for place, name in enumerate(classes)}
    return [
        Record(relative, split, relative, label=labels[place.name])
        for split, place in found
        for picture in _pictures(place)
        for relative in [picture.relative_to(root).as_posix()]
    ]


def _folders(place: Path) -> list[Path]:
    return sorted(
        Path(entry.path) for entry in os.scandir(place) if entry.name[0] != "." and os.path.isdir(entry.path)
    )


def _pictures(place: Path) -> list[Path]:
    return sorted(path for path in place.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
