"""A sweep: one training for each value of a setting, and what each reaches on val, as a table and a plot."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmx.core.errors import UsageError
from mmx.core.home import Home
from mmx.core.names import canonical
from mmx.core.present import present
from mmx.core.reporter import Reporter
from mmx.reports.sweep_plot import draw_sweep
from mmx.store.atomic import check_makeable, write_json
from mmx.store.run import RunFolder
from mmx.workflows.method_settings import resolve_method
from mmx.workflows.seeds import train_or_go_on, train_seeds
from mmx.workflows.train_settings import TrainSettings

PLOT, TABLE = "sweep.png", "sweep.json"
SCHEMA = "mmx.sweep/1"


@dataclass(frozen=True)
class SweepRow:
    """One value, the run that was trained with it, and what that reaches on val; of several seeds the folder
    of their runs, and the mean.
    """

    value: str
    run: str
    metrics: dict[str, float]
    deviation: dict[str, float] = field(default_factory=dict)
    """Sample standard deviation over the seeds; empty without several."""
    broken: dict[int, str] = field(default_factory=dict)
    """Seed -> why it came to nothing, and has no part in the mean."""


@dataclass(frozen=True)
class SweepResult:
    """All values of a setting, in the order asked for."""

    setting: str
    metric: str
    """What weights were selected by, and what is drawn."""
    rows: tuple[SweepRow, ...]
    folder: Path

    def document(self) -> dict[str, Any]:
        """The result as one JSON document."""
        return {"schema": SCHEMA, **dataclasses.asdict(self), "folder": str(self.folder)}


def sweep(text: str, settings: TrainSettings, reporter: Reporter, seeds: Sequence[int] = ()) -> SweepResult:
    """Train once for each value, or once for each value and seed; a run that is whole in the folder already
    is taken as it is, and one that was stopped goes on.

    Raises:
        UsageError: when the sweep is not of the form name=value,value, a value is not possible, or the folder
            holds a run of other settings.
        And whatever `train` raises.
    """
    setting, values = parse_sweep(text)
    if settings.resume is not None or settings.method is None or settings.dataset is None:
        raise UsageError("a sweep trains anew: name a method and --dataset, and leave out --resume.")
    if settings.wishes.flags.get(setting) is not None:
        raise UsageError(f"{setting} is swept: leave out --{setting.replace('_', '-')}.")
    every = {value: _with_value(settings, setting, value) for value in values}
    for asked in every.values():
        resolve_method(settings.method, asked.wishes)
    start = f"sweep-{canonical(settings.method)}-{canonical(settings.dataset)}-{setting}"
    folder = settings.out or Home.find(settings.home).new_run(start)
    check_makeable(folder)
    rows: list[SweepRow] = []
    metric = ""
    for value, asked in every.items():
        out = folder / f"{setting}-{value}"
        reporter.info(f"{setting} {value} ({len(rows) + 1} of {len(every)})")
        metric, row = _train(value, dataclasses.replace(asked, out=out), seeds, reporter)
        rows.append(row)
    result = SweepResult(setting, metric, tuple(rows), folder)
    write_json(folder / TABLE, result.document())
    drawn = {row.value: (row.metrics[metric], row.deviation.get(metric)) for row in rows}
    draw_sweep(setting, metric, drawn, f"{canonical(settings.method)} on {settings.dataset}", folder / PLOT)
    return result


def _train(
    value: str, asked: TrainSettings, seeds: Sequence[int], reporter: Reporter
) -> tuple[str, SweepRow]:
    """What weights are selected by, and the row of a value."""
    if not seeds:
        train_or_go_on(asked, reporter)
        found = RunFolder.open(present(asked.out)).metrics()
        return found["primary_metric"], SweepRow(value, str(asked.out), found["val"])
    reached = train_seeds(seeds, asked, reporter)
    broken = {seed: str(error) for seed, error in reached.broken.items()}
    return reached.metric, SweepRow(value, str(asked.out), reached.mean, reached.deviation, broken)


def parse_sweep(text: str) -> tuple[str, list[str]]:
    """`theta=0.05,0.1` as (`theta`, [`0.05`, `0.1`]).

    Raises:
        UsageError: for anything else, or a value that stands twice.
    """
    name, _, given = text.partition("=")
    values = [value.strip() for value in given.split(",")]
    if not name.strip() or not all(values) or len(values) < 2 or len(set(values)) < len(values):
        raise UsageError(
            f"--sweep '{text}' is not possible. Write a setting and two or more different values: "
            "--sweep theta=0.05,0.1,0.2"
        )
    return name.strip().replace("-", "_"), values


def _with_value(settings: TrainSettings, setting: str, value: str) -> TrainSettings:
    wishes = settings.wishes
    assignments = (*wishes.assignments, f"{setting}={value}")
    return dataclasses.replace(settings, wishes=dataclasses.replace(wishes, assignments=assignments))
