"""A lock that one process holds, and never the workers it forks.

A forked worker shares its parent's open files, locks included, and outlives a killed parent for some seconds.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

_HELD: set[int] = set()


@contextmanager
def exclusive(file: IO[str]) -> Iterator[None]:
    """Hold the lock of an open file.

    Raises:
        BlockingIOError: when another process holds it.
    """
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    handle = file.fileno()
    _HELD.add(handle)
    try:
        yield
    finally:
        _HELD.discard(handle)
        fcntl.flock(file, fcntl.LOCK_UN)


def _let_go() -> None:
    """In a forked worker: put nothing in the place of each locked file; the lock is the parent's alone."""
    if _HELD:
        nothing = os.open(os.devnull, os.O_RDWR)
        # not closed: the next file opened would get the number, and what is written to the lock
        for handle in _HELD:
            os.dup2(nothing, handle)
        os.close(nothing)
        _HELD.clear()


os.register_at_fork(after_in_child=_let_go)
