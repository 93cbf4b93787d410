"""Measure how well a run, or a pretrained pair of towers, matches the pictures and captions of a split."""

import dataclasses
import resource
import shlex
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from mmx import __version__
from mmx.core.device import find_device
from mmx.core.errors import ArtifactError, UsageError
from mmx.core.home import Home
from mmx.core.names import canonical
from mmx.core.reporter import Reporter
from mmx.store.atomic import write_json
from mmx.store.manifest import Manifest
from mmx.store.run import RunFolder, find_run, newest_run
from mmx.tasks import bootstrap, recall
from mmx.tasks.bootstrap import Difference
from mmx.workflows.embedded import Embedded, embed_model, embed_run
from mmx.workflows.rank_files import RankTable, load_ranks, save_ranks
from mmx.workflows.worst_cases import WorstCase, worst_cases

SCHEMA = "mmx.evaluate/1"
MEBIBYTE = 2**20


@dataclass(frozen=True)
class EvaluateSettings:
    """What to measure, and on what."""

    home: Home
    run: Path | None = None
    """A run's folder, or its name among the home's runs; the newest one when there is no model either."""
    model: str | None = None
    """A pretrained pair of towers, instead of a run."""
    split: str = "val"
    dataset: str | None = None
    """Another dataset than the run's own; needed for a model."""
    compare: Path | None = None
    """A second run, tested against the first on the same queries."""
    worst: int = 0
    device: str = "auto"
    batch_size: int = 256
    seed: int = 0
    """Of the bootstrap and of the permutations."""
    argv: Sequence[str] = ()


@dataclass(frozen=True)
class Comparison:
    """A second run on the same queries, and how much better the first one is."""

    name: str
    metrics: dict[str, float]
    differences: dict[str, Difference]


@dataclass(frozen=True)
class Evaluation:
    """What was measured, of what and on what."""

    name: str
    facts: dict[str, Any]
    """Dataset, split, fingerprints, counts, and how it was measured."""
    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    definitions: tuple[str, ...]
    comparison: Comparison | None = None
    worst: tuple[WorstCase, ...] = ()

    def document(self) -> dict[str, Any]:
        """All of it as plain data, for JSON."""
        plain = dataclasses.asdict(self)
        plain["worst"] = list(plain["worst"])
        plain["definitions"] = list(self.definitions)
        plain["intervals"] = {name: list(interval) for name, interval in self.intervals.items()}
        return {"schema": SCHEMA, "name": plain.pop("name"), **plain.pop("facts"), **plain}


def evaluate(settings: EvaluateSettings, reporter: Reporter) -> Evaluation:
    """Embed, rank, and say how sure the numbers are; a run keeps them in its metrics.json.

    Raises:
        UsageError: for words that do not fit together, or a split that is not there.
        ArtifactError: when the run, dataset, features or weights are missing or do not fit; or when the run
            compared with was trained on another dataset.
    """
    device = _checked(settings)
    folder = None if settings.model is not None else _named_or_newest(settings.run, settings.home)
    other = None if settings.compare is None else find_run(settings.compare, settings.home.runs)
    manifest = Manifest.open(settings.home.dataset(_dataset(settings, folder)))
    manifest.split(settings.split)
    _check_comparable(settings, folder, other, manifest, reporter)
    with nullcontext() if folder is None else folder.locked():
        started = time.perf_counter()
        embedded = _embed(folder, manifest, settings, device, reporter)
        table = embedded.table()
        evaluation = _measure(embedded, table, settings, device, time.perf_counter() - started)
        if folder is not None:
            save_ranks(folder.path, table)
            _record(folder, evaluation)
    if other is not None:
        comparison = _compare(table, other, manifest, settings, device, reporter)
        definitions = (*evaluation.definitions, bootstrap.DEFINITIONS["paired"])
        evaluation = dataclasses.replace(evaluation, comparison=comparison, definitions=definitions)
    worst = worst_cases(embedded, table.ranks, settings.worst)
    return dataclasses.replace(evaluation, worst=tuple(worst))


def _named_or_newest(given: Path | None, home: Home) -> RunFolder:
    if given is not None:
        return find_run(given, home.runs)
    newest = newest_run(home.runs)
    if newest is None:
        raise ArtifactError(
            f"there is no trained run in '{home.runs}'. Train one: mmx train METHOD --dataset NAME. "
            "Or evaluate a pretrained pair: mmx evaluate --model clip-vit-b32 --dataset NAME"
        )
    return newest


def _checked(settings: EvaluateSettings) -> torch.device:
    if settings.run is not None and settings.model is not None:
        raise UsageError(
            f"'{settings.run}' and --model '{settings.model}' were both given. Name one of them."
        )
    if settings.model is not None and settings.dataset is None:
        raise UsageError(
            f"--model '{settings.model}' needs to know on what. Add --dataset NAME; see: mmx datasets"
        )
    for name, least in (("batch_size", 1), ("worst", 0), ("seed", 0)):
        if getattr(settings, name) < least:
            raise UsageError(
                f"{name}={getattr(settings, name)} is out of bounds. It must be at least {least}."
            )
    return find_device(settings.device)


def _dataset(settings: EvaluateSettings, folder: RunFolder | None) -> str:
    """The dataset to evaluate on, as its folder is called."""
    return folder.facts["dataset"] if settings.dataset is None else canonical(settings.dataset)


def _check_comparable(
    settings: EvaluateSettings,
    folder: RunFolder | None,
    other: RunFolder | None,
    manifest: Manifest,
    reporter: Reporter,
) -> None:
    """Two runs are compared on queries that are theirs, unless a dataset is named for both."""
    for run in (run for run in (folder, other) if run is not None):
        trained_on, fingerprint = run.facts["dataset"], run.facts["manifest_fingerprint"]
        if trained_on == manifest.name and fingerprint != manifest.fingerprint:
            reporter.warn(
                f"'{run.path}' was trained on another state of '{manifest.name}' ('{fingerprint}', now "
                f"'{manifest.fingerprint}'): what is held out now may have been trained on."
            )
    if other is None:
        return
    if folder is not None and folder.path.resolve() == other.path.resolve():
        raise UsageError(f"'{other.path}' would be compared with itself. Name another run: mmx runs")
    if (
        settings.dataset is None
        and other.facts["manifest_fingerprint"] != folder.facts["manifest_fingerprint"]
    ):
        raise ArtifactError(
            f"'{folder.path}' and '{other.path}' have different queries: '{folder.facts['dataset']}' with "
            f"manifest '{folder.facts['manifest_fingerprint']}', and '{other.facts['dataset']}' with "
            f"manifest '{other.facts['manifest_fingerprint']}'. Name one dataset for both: --dataset NAME"
        )


def _embed(
    folder: RunFolder | None,
    manifest: Manifest,
    settings: EvaluateSettings,
    device: torch.device,
    reporter: Reporter,
) -> Embedded:
    if folder is None:
        return embed_model(settings.model, manifest, settings.split, settings.home, device, reporter)
    return embed_run(folder, manifest, settings.split, settings.home, device, settings.batch_size, reporter)


def _measure(
    embedded: Embedded, table: RankTable, settings: EvaluateSettings, device: torch.device, seconds: float
) -> Evaluation:
    groups = table.image_group, table.text_group
    facts = {
        **table.about,
        "method": embedded.method,
        "encoders": embedded.encoders,
        "images": len(table.ranks.i2t),
        "captions": len(table.ranks.t2i),
        "dropped": table.ranks.dropped,
        "seed": settings.seed,
        "device": str(device),
        "precision": embedded.precision,
        "seconds": round(seconds, 3),
        "peak_memory_mib": round(_peak_memory() / MEBIBYTE, 1),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(settings.argv),
        "mmx": __version__,
    }
    return Evaluation(
        name=embedded.name,
        facts=facts,
        metrics=recall.recall_metrics(table.ranks),
        intervals=bootstrap.intervals(table.ranks, *groups, seed=settings.seed),
        definitions=(*recall.DEFINITIONS.values(), bootstrap.DEFINITIONS["interval"]),
    )


def _compare(
    table: RankTable,
    other: RunFolder,
    manifest: Manifest,
    settings: EvaluateSettings,
    device: torch.device,
    reporter: Reporter,
) -> Comparison:
    """The second run on the same queries, from the ranks it has kept where they are still its own."""
    theirs = load_ranks(other.path, {**table.about, "fingerprint": other.fingerprint})
    if theirs is None:
        with other.locked():
            theirs = _embed(other, manifest, settings, device, reporter).table()
            save_ranks(other.path, theirs)
    if not (
        torch.equal(theirs.image_group, table.image_group)
        and torch.equal(theirs.text_group, table.text_group)
    ):
        raise ArtifactError(
            f"the ranks kept in '{other.path}' are of other queries than '{table.dataset}' {table.split}. "
            f"Delete '{other.path}/ranks' and try again."
        )
    tests = bootstrap.paired_test(
        table.ranks, theirs.ranks, table.image_group, table.text_group, seed=settings.seed
    )
    return Comparison(str(other.path), recall.recall_metrics(theirs.ranks), tests)


def _record(folder: RunFolder, evaluation: Evaluation) -> None:
    """Add the numbers to what the run knows of itself; nothing is ever taken out."""
    kept = folder.metrics()
    document = evaluation.document()
    for transient in ("comparison", "worst"):
        del document[transient]
    write_json(
        folder.path / "metrics.json", {**kept, "evaluations": [*kept.get("evaluations", []), document]}
    )


def _peak_memory() -> int:
    """The most memory this process has held, in bytes; Linux counts in KiB, macOS in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
