"""Compare runs over one split: their numbers with intervals, and a paired test of each against the first."""

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mmx.core.errors import ArtifactError, UsageError
from mmx.core.home import Home
from mmx.core.reporter import Reporter
from mmx.store.manifest import Manifest
from mmx.store.run import RunFolder, find_run
from mmx.tasks import resampling
from mmx.tasks.resampling import Difference
from mmx.workflows.answers import Answers, check_items, differences
from mmx.workflows.evaluate_head import kept_head
from mmx.workflows.evaluate_posts import kept_posts, reads_posts
from mmx.workflows.evaluate_settings import (
    EvaluateSettings,
    check_same_data,
    checked,
    dataset_of,
    warn_of_other_state,
)
from mmx.workflows.head_run import is_head
from mmx.workflows.labelled import Interval
from mmx.workflows.making import making
from mmx.workflows.rankings import kept_ranks
from mmx.workflows.seed_groups import SeedGroup, group_by_setting, what_differs
from mmx.workflows.seeds import runs_of_seeds
from mmx.workflows.stage_rows import parse_top

SCHEMA = "mmx.compare/1"
DEFINITIONS = (
    "Difference: the run less the first. A run is never encoded again where what it answered is kept and is "
    "still its own.",
)
OF_SEEDS = (
    "Runs that differ by seed alone stand as their mean, ± the sample standard deviation over the seeds; the "
    "interval of the mean and its test draw items, not seeds."
)


@dataclass(frozen=True)
class CompareSettings:
    """Which runs, over what."""

    home: Home
    runs: tuple[Path, ...]
    """Folders or names; a folder of seeds stands for its runs."""
    split: str = "val"
    dataset: str | None = None
    """Another dataset than the runs' own."""
    rerank_top: str | None = None
    """See `EvaluateSettings`."""
    device: str = "auto"
    batch_size: int = 256
    seed: int = 0
    """Of the bootstrap and of the permutations."""
    argv: Sequence[str] = ()


@dataclass(frozen=True)
class ComparedRow:
    """One setting: a run, or several that differ by seed alone."""

    name: str
    runs: tuple[str, ...]
    seeds: tuple[int, ...]
    differs: Mapping[str, tuple[Any, Any]]
    """Setting -> its value here and in the first row."""
    metrics: Mapping[str, float]
    """In percent, and median ranks; the mean over the runs."""
    deviations: Mapping[str, float]
    """Sample standard deviation over the seeds; empty for one run."""
    intervals: Mapping[str, Interval]
    differences: Mapping[str, Difference] | None
    """This row less the first one; None for the first."""


@dataclass(frozen=True)
class Compared:
    """All rows, and what they were measured on."""

    facts: Mapping[str, Any]
    rows: tuple[ComparedRow, ...]
    definitions: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """All of it as plain data, for JSON."""
        rows = []
        for row in self.rows:
            plain = dataclasses.asdict(row)
            plain["differs"] = {name: list(pair) for name, pair in row.differs.items()}
            plain["intervals"] = {name: list(pair) for name, pair in row.intervals.items()}
            rows.append({**plain, "runs": list(row.runs), "seeds": list(row.seeds)})
        return {"schema": SCHEMA, **self.facts, "rows": rows, "definitions": list(self.definitions)}


def compare_runs(settings: CompareSettings, reporter: Reporter) -> Compared:
    """Every run over the same split, item by item; what a run answered is kept in it.

    Raises:
        UsageError: for words that do not fit together, or a split that is not there.
        ArtifactError: when a run, its data or weights are missing or do not fit, or the runs are of different
            data or of different kinds.
        DataError: when the split has nothing of what the runs answer.
    """
    asked = EvaluateSettings(
        home=settings.home,
        split=settings.split,
        dataset=settings.dataset,
        rerank_top=settings.rerank_top,
        device=settings.device,
        batch_size=settings.batch_size,
        seed=settings.seed,
        argv=settings.argv,
    )
    device = checked(asked)
    parse_top(settings.rerank_top)
    runs = _open(settings)
    first, *others = runs
    for other in others:
        _check_kind(first, other)
        if settings.dataset is None:
            check_same_data(first, other)
    manifest = Manifest.open(settings.home.dataset(dataset_of(asked, first)))
    manifest.split(settings.split)
    for run in runs:
        warn_of_other_state(run, manifest, reporter)
    answers = {run.path: _answers(run, manifest, asked, device, reporter) for run in runs}
    check_items(answers)
    groups = group_by_setting(runs)
    rows = tuple(_row(group, groups[0], answers, settings.seed) for group in groups)
    found = answers[first.path]
    facts = {
        "dataset": manifest.name,
        "split": settings.split,
        "manifest_fingerprint": manifest.fingerprint,
        "task": first.facts["tasks"][0],
        "items": found.sums.number,
        "primary_metric": found.primary_metric,
        "seed": settings.seed,
        **making(settings.argv),
    }
    several = [OF_SEEDS] if any(len(group.runs) > 1 for group in groups) else []
    return Compared(facts, rows, (*found.definitions, *DEFINITIONS, *several))


def _open(settings: CompareSettings) -> list[RunFolder]:
    """The runs, each once.

    Raises:
        UsageError: when there are not two, or one stands twice.
        ArtifactError: when one is not there.
    """
    paths = [path for given in settings.runs for path in runs_of_seeds(given, settings.home) or [given]]
    runs = [find_run(path, settings.home.runs) for path in paths]
    if len(runs) < 2:
        raise UsageError("it takes two runs to compare: mmx compare RUN RUN. See what there is: mmx runs")
    seen: set[Path] = set()
    for run in runs:
        if run.path.resolve() in seen:
            raise UsageError(f"'{run.path}' would be compared with itself. Name each run once: mmx runs")
        seen.add(run.path.resolve())
    return runs


def _check_kind(first: RunFolder, other: RunFolder) -> None:
    """Runs that answer different questions have no numbers in common.

    Raises:
        ArtifactError: when they do.
    """
    tasks = [run.facts["tasks"][0] for run in (first, other)]
    if tasks[0] != tasks[1]:
        raise ArtifactError(
            f"'{first.path}' was trained for {tasks[0]} and '{other.path}' for {tasks[1]}: they have no "
            "numbers in common. Compare runs of one task: mmx runs"
        )


def _answers(
    run: RunFolder, manifest: Manifest, asked: EvaluateSettings, device: torch.device, reporter: Reporter
) -> Answers:
    kept = kept_head if is_head(run) else kept_posts if reads_posts(run) else kept_ranks
    return kept(run, manifest, asked, device, reporter)


def _row(group: SeedGroup, first: SeedGroup, answers: Mapping[Path, Answers], seed: int) -> ComparedRow:
    own, theirs = ({run.path: answers[run.path] for run in found.runs} for found in (group, first))
    found = list(own.values())
    metrics, deviations, spans = found[0].metrics, {}, {}
    if len(found) == 1:
        spans = found[0].intervals(seed)
    else:
        values = {name: [one.metrics[name] for one in found] for name in metrics}
        metrics = {name: statistics.fmean(reached) for name, reached in values.items()}
        deviations = {name: statistics.stdev(reached) for name, reached in values.items()}
        spans = resampling.intervals([one.sums for one in found], seed=seed)
    return ComparedRow(
        name=group.name,
        runs=tuple(str(path) for path in own),
        seeds=group.seeds,
        differs=what_differs(group.runs[0], first.runs[0]),
        metrics=metrics,
        deviations=deviations,
        intervals=spans,
        differences=None if group is first else differences(own, theirs, seed),
    )
