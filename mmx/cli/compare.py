"""mmx compare: one table of runs over the same split, and how sure it is that they differ."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmx.cli.metric_tables import difference, interval, title
from mmx.cli.options import (
    DeviceOption,
    EmbeddedOption,
    HomeOption,
    JsonOption,
    OtherDatasetOption,
    RerankTopOption,
    SeedOption,
    SplitOption,
)
from mmx.cli.report import RichReporter, print_json, print_lines, print_table
from mmx.core.home import Home

if TYPE_CHECKING:
    from mmx.workflows.compare import Compared, ComparedRow

COLUMNS = 3
"""Rows that stand beside the first one in a table; more go into a second table, beside the first again."""
MOST_SETTINGS = 6


def compare(
    runs: Annotated[
        list[Path], typer.Argument(help="Folders or names of runs; a folder of --seeds stands for its runs.")
    ],
    split: SplitOption = "val",
    dataset: OtherDatasetOption = None,
    rerank_top: RerankTopOption = None,
    batch_size: EmbeddedOption = 256,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Compare runs over the same split: each number with its interval, and a paired test against the first.

    Runs that differ by their seed alone stand together, as mean and spread. What a run answered is kept in it
    and not computed again while its weights and the data are the same.
    """
    from mmx.workflows import compare as workflow

    settings = workflow.CompareSettings(
        home=Home.find(home),
        runs=tuple(runs),
        split=split,
        dataset=dataset,
        rerank_top=rerank_top,
        device=device,
        batch_size=batch_size,
        seed=seed,
        argv=("mmx", *sys.argv[1:]),
    )
    found = workflow.compare_runs(settings, RichReporter())
    if json:
        return print_json(found.document())
    return show(found)


def show(found: "Compared") -> None:
    """The runs side by side, what they differ in, and what the numbers mean."""
    facts, (first, *others) = found.facts, found.rows
    print_lines(f"{facts['task']} on {facts['dataset']} {facts['split']}: {facts['items']:,} items")
    for start in range(0, max(len(others), 1), COLUMNS):
        shown = [first, *others[start : start + COLUMNS]]
        cells = [(title(name), *(_cell(row, name) for row in shown)) for name in first.metrics]
        columns = ("metric (95% interval)", *map(_title, shown))
        print_table("", columns, cells, columns[1:])
    print_lines(*(line for row in found.rows for line in _about(row)), *found.definitions)


def _title(row: "ComparedRow") -> str:
    return row.name if len(row.runs) == 1 else f"{row.name} ({len(row.runs)} seeds)"


def _cell(row: "ComparedRow", name: str) -> str:
    """The value with its interval, and under it the difference from the first row."""
    value = f"{row.metrics[name]:.1f}"
    if name in row.deviations:
        value += f" ± {row.deviations[name]:.1f}"
    if name not in row.intervals:
        return value
    value += f" ({interval(row.intervals[name])})"
    if row.differences is None:
        return value
    by, span, p = difference(row.differences[name])
    return f"{value}\n{by} ({span}) p {p}"


def _about(row: "ComparedRow") -> list[str]:
    """What a row is: its runs where there are several, and what it differs in from the first one."""
    lines = []
    if len(row.runs) > 1:
        lines.append(f"{row.name}: seeds {', '.join(map(str, row.seeds))}: {', '.join(row.runs)}")
    if row.differs:
        named = [f"{name} {here}, not {there}" for name, (here, there) in row.differs.items()]
        more = len(named) - MOST_SETTINGS
        rest = [f"and {more} more"] if more > 0 else []
        lines.append(f"{row.name} differs from the first: {'; '.join([*named[:MOST_SETTINGS], *rest])}")
    return lines
