"""The one process that may write into a folder of artefacts; the others wait for it."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmx.core.reporter import Reporter
from mmx.store.atomic import disk_errors, remove_leftovers

LOCK = "lock"


@contextmanager
def one_writer(folder: Path, reporter: Reporter) -> Iterator[None]:
    """Wait until no other process makes what this folder holds; what killed writers left is removed.

    Raises:
        ResourceError: when the folder cannot be written.
    """
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        # The lock belongs to the open file, so that the system gives it back when its holder is killed.
        file = (folder / LOCK).open("a")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            reporter.info(f"another mmx is at work on '{folder}': waiting for it.")
            fcntl.flock(file, fcntl.LOCK_EX)
        remove_leftovers(folder)
        yield
