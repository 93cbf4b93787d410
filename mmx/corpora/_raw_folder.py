"""Finding the files of a published data set in whatever folder people put them."""

import json
import os
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from mmx.core.errors import DataError
from mmx.core.plain_text import read_text

T = TypeVar("T")

DEPTH = 2
PICTURES = (".jpg", ".jpeg", ".png")


def find_file(raw: Path, names: Iterable[str]) -> Path | None:
    """The first of the names that lies in the folder or two folders deep, whatever its case."""
    found = {path.name.lower(): path for path in reversed(list(_walk(raw, folders=False)))}
    return next((found[name.lower()] for name in names if name.lower() in found), None)


def find_pictures(raw: Path, names: Iterable[str]) -> Path:
    """The folder of pictures: one of the names, else the folder itself, else where it should be."""
    wanted = [name.lower() for name in names]
    folders = [path for path in _walk(raw, folders=True) if path.name.lower() in wanted]
    # Archives often unpack to a folder of the same name within itself: the one with pictures counts.
    for folder in [*sorted(folders, key=lambda path: wanted.index(path.name.lower())), raw]:
        if _holds_pictures(folder):
            return folder
    return folders[0] if folders else raw / wanted[0]


def read_lines(path: Path) -> tuple[list[str], list[str]]:
    """The lines of a text file without their ends, and a remark when the file is not plain UTF-8.

    Raises:
        DataError: when it cannot be read.
    """
    text, remarks = read_text(path)
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), remarks


def read_json(path: Path, kind: type[T], what: str) -> tuple[T, list[str]]:
    """What a JSON file holds, which is to be of a kind, and a remark when it is not plain UTF-8.

    Raises:
        DataError: when it cannot be read, is cut short or holds something else than `what` is expected, or a
            key stands twice in one object.
    """
    text, remarks = read_text(path)
    try:
        value = json.loads(text, object_pairs_hook=partial(_unique, path))
    except ValueError as error:
        raise DataError(f"'{path}' is not whole JSON ({error}). Fetch or write it again.") from error
    if not isinstance(value, kind):
        raise DataError(f"'{path}' holds a {type(value).__name__}, not {what}. Fetch or write it again.")
    return value, remarks


def _unique(path: Path, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    whole = dict(pairs)
    if len(whole) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for place, key in enumerate(keys) if key in keys[:place])
        raise DataError(f"'{path}': the key '{twice}' stands twice in one object. Keep one of them.")
    return whole


def _walk(raw: Path, folders: bool, depth: int = DEPTH) -> Iterator[Path]:
    """Files or folders, the shallow ones first, each level in the order of names."""
    entries = sorted(os.scandir(raw), key=lambda entry: entry.name)
    marked = [(Path(entry.path), _is_folder(entry)) for entry in entries]
    yield from (path for path, is_folder in marked if is_folder == folders)
    if depth:
        for path, is_folder in marked:
            if is_folder:
                yield from _walk(path, folders, depth - 1)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A loop of links is no folder.
        return False


def _holds_pictures(folder: Path) -> bool:
    with os.scandir(folder) as entries:
        return any(entry.name.lower().endswith(PICTURES) for entry in entries)
