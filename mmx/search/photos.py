"""The pictures of a folder: found by their names, in one order on any system, never outside it."""

import difflib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from mmx.core.errors import DataError

DIGEST_BYTES = 16
JUST_NOW_NS = 2_000_000_000
"""A file changed this shortly before it was listed may change again within one tick of the disk's clock."""


@dataclass(frozen=True)
class Photo:
    """A file with the name of a picture: where it is, and what tells that it has not changed."""

    id: str
    path: Path
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class PhotoFolder:
    """What a folder holds: its pictures by name, and the links that lead out of it and were left alone."""

    photos: tuple[Photo, ...]
    foreign_links: tuple[str, ...]


def find_photos(folder: Path, suffixes: Iterable[str]) -> PhotoFolder:
    """Every file below the folder with one of the suffixes, hidden files and folders left out.

    Raises:
        DataError: when the folder is absent or cannot be read.
    """
    check_folder(folder)
    wanted = {suffix.lower() for suffix in suffixes}
    root = folder.resolve()
    photos, foreign = [], []
    for name, file in _files(str(folder), ""):
        if os.path.splitext(file.name)[1].lower() not in wanted:
            continue
        path = Path(file.path)
        if file.is_symlink() and not path.resolve().is_relative_to(root):
            foreign.append(name)
            continue
        try:
            found = file.stat()
        except OSError:
            # A link to nothing, or a file removed since it was listed: decoding it will say so.
            photos.append(Photo(name, path, 0, 0))
            continue
        photos.append(Photo(name, path, found.st_size, found.st_mtime_ns))
    return PhotoFolder(tuple(sorted(photos, key=lambda photo: photo.id)), tuple(sorted(foreign)))


def check_folder(folder: Path) -> None:
    """Refuse what is no folder, with the nearest name beside it.

    Raises:
        DataError: when it is so.
    """
    if folder.is_dir():
        return
    if os.path.lexists(folder):
        raise DataError(f"'{folder}' is not a folder. Name a folder of photos: --in DIR")
    beside = folder.parent
    names = [path.name for path in beside.iterdir() if path.is_dir()] if beside.is_dir() else []
    near = difflib.get_close_matches(folder.name, names, n=1)
    hint = f" Did you mean '{beside / near[0]}'?" if near else ""
    raise DataError(f"the folder '{folder}' does not exist.{hint} Name a folder of photos: --in DIR")


def digest(path: Path) -> str:
    """A hash of the file's content; empty when it is no regular file or cannot be opened."""
    if not path.is_file():
        return ""
    try:
        with path.open("rb") as file:
            found = blake2b(digest_size=DIGEST_BYTES)
            while piece := file.read(1 << 20):
                found.update(piece)
            return found.hexdigest()
    except OSError:
        return ""


def _files(folder: str, below: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Files below the folder, each with its name there; linked folders are not entered, so that no walk is
    endless.
    """
    try:
        with os.scandir(folder) as listed:
            found = [one for one in listed if not one.name.startswith(".")]
    except OSError as error:
        raise DataError(
            f"'{error.filename}' cannot be read: {error.strerror}. Mend its rights, or move it."
        ) from error
    for one in found:
        name = below + one.name
        if not one.is_dir():
            yield name, one
        elif not one.is_symlink():
            yield from _files(one.path, f"{name}/")
