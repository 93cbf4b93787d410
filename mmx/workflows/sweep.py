"""A sweep: one training for each value of a setting, and what each reaches on val, as a table and a plot."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmx.core.errors import UsageError
from mmx.core.home import Home
from mmx.core.names import canonical
from mmx.core.reporter import Reporter
from mmx.reports.sweep_plot import draw_sweep
from mmx.store.atomic import check_writable, write_json
from mmx.store.run import RunFolder
from mmx.workflows.assemble import method_of
from mmx.workflows.method_settings import resolve_method
from mmx.workflows.train import CURVES, TrainSettings, train

PLOT, TABLE = "sweep.png", "sweep.json"
SCHEMA = "mmx.sweep/1"


@dataclass(frozen=True)
class SweepRow:
    """One value, the run that was trained with it, and what that reaches on val."""

    value: str
    run: str
    metrics: dict[str, float]


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


def sweep(text: str, settings: TrainSettings, reporter: Reporter) -> SweepResult:
    """Train once for each value; a run that is whole in the folder already is taken as it is, and one that
    was stopped goes on.

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
    check_writable(folder.parent if not folder.exists() else folder)
    rows, metric = [], ""
    for value, asked in every.items():
        out = folder / f"{setting}-{value}"
        if not out.exists():
            train(dataclasses.replace(asked, out=out), reporter)
        else:
            _go_on(dataclasses.replace(asked, out=out), reporter)
        found = RunFolder.open(out).metrics()
        metric = found["primary_metric"]
        rows.append(SweepRow(value, str(out), found["val"]))
    result = SweepResult(setting, metric, tuple(rows), folder)
    write_json(folder / TABLE, result.document())
    drawn = {row.value: row.metrics[metric] for row in rows}
    draw_sweep(setting, metric, drawn, f"{canonical(settings.method)} on {settings.dataset}", folder / PLOT)
    return result


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


def _go_on(asked: TrainSettings, reporter: Reporter) -> None:
    """Train a run of the folder to its end, if it is the one that is asked for."""
    run = RunFolder.open(asked.out)
    facts, wanted = run.facts, resolve_method(asked.method, asked.wishes)
    same = (wanted.name, canonical(asked.dataset), asked.seed or 0)
    if (facts["method"], facts["dataset"], facts["seed"]) != same or method_of(run)[1] != wanted.settings:
        raise UsageError(
            f"'{run.path}' was trained with other settings, data or seed. Name another folder with --out."
        )
    if not (run.path / CURVES).is_file():
        train(TrainSettings(device=asked.device, resume=run.path, home=asked.home), reporter)
