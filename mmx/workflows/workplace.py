"""The place where a dataset is being prepared: locked, with room for pictures that are made or unpacked."""

import fcntl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmx.core.errors import DataError, ResourceError
from mmx.store.atomic import NO_SPACE, TEMPORARY_PREFIX, disk_errors, remove_leftovers


@contextmanager
def open_workplace(folder: Path, dry_run: bool) -> Iterator[Path]:
    """An empty folder for pictures that are made or unpacked; elsewhere when nothing is to be written.

    Raises:
        ResourceError: when the home cannot be written, or the same dataset is being prepared already.
    """
    if dry_run:
        with tempfile.TemporaryDirectory(prefix=TEMPORARY_PREFIX) as place:
            yield Path(place)
        return
    is_new = not folder.exists()
    with disk_errors(folder):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except FileNotFoundError:
            raise ResourceError(f"'{folder}' cannot be made. Choose another --home.") from None
        # The lock lies beside the folder and stays, so that removing the folder cannot split it in two.
        lock = (folder.parent / f".{folder.name}.lock").open("w")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ResourceError(
                f"'{folder}' is being prepared by another process. Wait for it to end."
            ) from None
        remove_leftovers(folder)
        try:
            with disk_errors(folder):
                made = tempfile.TemporaryDirectory(prefix=TEMPORARY_PREFIX, dir=folder)
            with made:
                yield Path(made.name)
        finally:
            if is_new and not any(folder.iterdir()):
                folder.rmdir()


@contextmanager
def reading_errors(folder: Path) -> Iterator[None]:
    """Tell a full disk (pictures are made or unpacked while reading) from raw files that cannot be read."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_SPACE:
            raise ResourceError(
                f"no space left to write '{folder}'. What was there before is intact."
            ) from error
        raise DataError(f"'{error.filename}' cannot be read: {error.strerror}.") from error
