"""What mmx shows: bars, remarks and warnings on standard error; tables and JSON on standard output.

What draws them is loaded when something is drawn: paths for a pipe need none of it.
"""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from mmx.cli.progress_bar import RichProgressBar


def plain() -> bool:
    """Whether bars and colours are off: no terminal, or the environment asks for it."""
    return bool(
        not sys.stderr.isatty()
        or os.environ.get("NO_COLOR")
        or os.environ.get("CI")
        or os.environ.get("TERM") == "dumb"
    )


def standard_output() -> "Console":
    """The console for results; as wide as the terminal, or as the text when there is none."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 160, highlight=False, soft_wrap=False)


def print_json(value: Any) -> None:
    """One JSON document and nothing else."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def print_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str] = ()
) -> None:
    """A table of text; the columns named in `right` are flushed right."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*[Text(str(cell)) for cell in row])
    standard_output().print(table)


def print_lines(*lines: str) -> None:
    """Plain lines of a result."""
    for line in lines:
        sys.stdout.write(line + "\n")


class RichReporter:
    """Tells a person at a terminal how far a job is; without a terminal, says only how it began and ended."""

    @cached_property
    def _console(self) -> "Console":
        from rich.console import Console

        return Console(stderr=True, no_color=plain() or None, highlight=False)

    @contextmanager
    def progress(
        self, title: str, total: float | None, unit: str, done: int = 0
    ) -> "Iterator[RichProgressBar]":
        """A bar with rate and time left."""
        from mmx.cli.progress_bar import RichProgressBar, new_bar

        bar = new_bar(self._console, disable=plain())
        with bar:
            task = bar.add_task(title, total=total, completed=done, unit=unit, note="")
            yield RichProgressBar(bar, task)
        if plain():
            finished = bar.tasks[0]
            elapsed = finished.elapsed or 0.0
            rate = (finished.completed - done) / elapsed if elapsed else 0.0
            speed = f"{rate:,.{1 if rate >= 1 else 2}f} {unit}/s"
            self.info(f"{title}: {finished.completed:,.0f} {unit} in {elapsed:.1f} s ({speed})")

    def info(self, text: str) -> None:
        """A remark."""
        from rich.text import Text

        self._console.print(Text(text), soft_wrap=True)

    def warn(self, text: str) -> None:
        """A warning, in yellow where there is colour."""
        from rich.text import Text

        self._console.print(Text(f"warning: {text}", style="yellow"), soft_wrap=True)
