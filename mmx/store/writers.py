"""Several writers in one folder, each with its own files, and who may sweep up after a killed one."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from mmx.store.atomic import check_writable, disk_errors, remove_leftovers

LOCK_NAME = ".lock"


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Be one of the folder's writers; the first one removes what killed writers left, and so does the last.

    Raises:
        ResourceError: when the folder cannot be written.
    """
    check_writable(folder)
    with disk_errors(folder), (folder / LOCK_NAME).open("w") as lock:
        _sweep_alone(folder, lock)
        # Letting go of one lock and taking the other is not one step: whoever sweeps in between finds nothing
        # of ours yet.
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_SH)
        yield
        _sweep_alone(folder, lock)


def _sweep_alone(folder: Path, lock: IO[str]) -> None:
    """Remove leftovers if no other writer is at work."""
    # a file system without locks has no way to tell, so nothing is swept there
    with suppress(OSError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        remove_leftovers(folder)
