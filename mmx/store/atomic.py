"""Writing so that a crash leaves the old file or the new one, never neither and never a half.

A file is written under a temporary name in its own folder, flushed to the disk, renamed, and the folder is
flushed too.
"""

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmx.core.errors import ResourceError

TEMPORARY_PREFIX = ".mmx-tmp-"
NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
NO_RIGHT = {errno.EACCES, errno.EPERM, errno.EROFS}


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write to; on leaving without an error it takes the place of `path`.

    Raises:
        ResourceError: when the disk is full or the folder cannot be written; the old file stays as it was.
    """
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # A folder and not a file, so that what a library writes on the side is swept up with it.
        place = Path(tempfile.mkdtemp(dir=path.parent, prefix=TEMPORARY_PREFIX))
        try:
            temporary = place / path.name
            yield temporary
            _flush(temporary)
            temporary.chmod(0o644)
            os.replace(temporary, path)
            _flush(path.parent)
        finally:
            shutil.rmtree(place, ignore_errors=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder to fill; on leaving without an error it becomes `path`, whole or not at all.

    Two folders cannot change places in one step, so that `path` must be new.

    Raises:
        ValueError: when `path` holds something already.
        ResourceError: as for `atomic_file`.
    """
    if path.is_dir() and any(path.iterdir()):
        raise ValueError(f"'{path}' holds something already, and a folder cannot be replaced in one step.")
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=TEMPORARY_PREFIX))
        try:
            yield temporary
            for written in temporary.rglob("*"):
                _flush(written)
            _flush(temporary)
            # mkdtemp makes a folder for its owner alone
            temporary.chmod(0o755)
            os.rename(temporary, path)
            _flush(path.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically, in UTF-8."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file atomically, in UTF-8, keys in the order given."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def remove_leftovers(folder: Path) -> None:
    """Delete what killed writers left behind in a folder; call only where no other writer can be at work."""
    for leftover in folder.glob(f"{TEMPORARY_PREFIX}*"):
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


def check_writable(folder: Path) -> None:
    """Find out before any work whether a folder can be written.

    Raises:
        ResourceError: when it cannot.
    """
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder, prefix=TEMPORARY_PREFIX):
            pass


def check_makeable(folder: Path) -> None:
    """The same for a folder that is perhaps still to be made, without making it.

    Raises:
        ResourceError: when it cannot.
    """
    check_writable(folder if folder.exists() else folder.parent)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn the system's errors of a full or closed disk into ResourceError."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_SPACE:
            raise ResourceError(
                f"no space left to write '{path}'. What was there before is intact."
            ) from error
        if error.errno in NO_RIGHT or isinstance(error, NotADirectoryError | FileExistsError):
            raise ResourceError(
                f"'{path}' cannot be written: {error.strerror}. Choose another place."
            ) from error
        raise


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
