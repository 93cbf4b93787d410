"""Numbers with their intervals, and a second run beside them: the cells that several commands print."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmx.workflows.answers import Comparison, Difference

Interval = tuple[float, float]
Table = tuple[tuple[str, ...], list[tuple[str, ...]], tuple[str, ...]]
"""Columns, rows, and the columns flushed right."""


def metric_table(
    metrics: Mapping[str, float], intervals: Mapping[str, Interval], compared: "Comparison | None"
) -> Table:
    """A row a metric; with a second run its value, and the difference with its interval and p."""
    columns: tuple[str, ...] = ("metric", "value", "95% interval")
    rows: list[tuple[str, ...]] = [
        (title(name), f"{value:.1f}", interval(intervals.get(name))) for name, value in metrics.items()
    ]
    if compared is None:
        return columns, rows, columns[1:]
    columns = (*columns, "compared", "difference", "its 95% interval", "p")
    theirs, tests = compared.metrics, compared.differences
    rows = [
        (*row, f"{theirs[name]:.1f}" if name in theirs else "", *difference(tests.get(name)))
        for row, name in zip(rows, metrics, strict=True)
    ]
    return columns, rows, columns[1:]


def title(metric: str) -> str:
    """The name of a metric, for reading."""
    return metric.replace("_", " ")


def with_interval(value: float, found: Interval | None) -> str:
    """`24.1 (20.3 to 27.9)`."""
    return f"{value:.1f}" if found is None else f"{value:.1f} ({interval(found)})"


def interval(found: Interval | None) -> str:
    """`20.3 to 27.9`; nothing for a metric without one."""
    return "" if found is None else f"{found[0]:.1f} to {found[1]:.1f}"


def difference(test: "Difference | None") -> tuple[str, str, str]:
    """The difference, its interval and p; nothing for a metric without a test."""
    if test is None:
        return "", "", ""
    return f"{test.difference:+.1f}", f"{test.low:+.1f} to {test.high:+.1f}", f"{test.p:.4f}"
