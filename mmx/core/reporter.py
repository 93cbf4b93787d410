"""Reporter: what a long job may tell whoever waits for it."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Progress(Protocol):
    """One bar: moved on by `advance`, with a few words beside it."""

    def advance(self, amount: float = 1) -> None:
        """Move the bar on."""

    def note(self, text: str) -> None:
        """Show a few words at its end."""


class Reporter(Protocol):
    """Where progress, remarks and warnings go (standard error, on a terminal)."""

    def progress(
        self, title: str, total: float | None, unit: str, done: int = 0
    ) -> AbstractContextManager[Progress]:
        """A context manager that yields a Progress; rate and time left are shown in `unit` per second."""

    def info(self, text: str) -> None:
        """Pass on a remark."""

    def warn(self, text: str) -> None:
        """Pass on a warning."""


class SilentProgress:
    """A bar that nobody sees."""

    def advance(self, amount: float = 1) -> None:
        """Do nothing."""

    def note(self, text: str) -> None:
        """Do nothing."""


class SilentReporter:
    """For tests and for use from Python: says nothing."""

    @contextmanager
    def progress(self, title: str, total: float | None, unit: str, done: int = 0) -> Iterator[SilentProgress]:
        """A bar that nobody sees."""
        yield SilentProgress()

    def info(self, text: str) -> None:
        """Say nothing."""

    def warn(self, text: str) -> None:
        """Say nothing."""
