"""Measure how well a run, or a pretrained pair of towers, matches the pictures and captions of a split."""

import resource
import shlex
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
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
from mmx.workflows.assemble import method_of
from mmx.workflows.embedded import Embedded, embed_model, embed_run
from mmx.workflows.evaluation import Comparison, Evaluation, measure
from mmx.workflows.faithfulness import check_run_explains, measure_faithfulness
from mmx.workflows.rank_files import ONE_STAGE, RankTable, load_ranks, save_ranks
from mmx.workflows.stage_rows import (
    VAL,
    RankedRow,
    Tuning,
    headline_name,
    headline_of,
    parse_top,
    ranked_rows,
    tune_weight,
)
from mmx.workflows.worst_cases import worst_cases

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
    rerank_top: str | None = None
    """Of a run with a second stage: how many of each query's nearest are ranked again; `all` also scores all
    pairs, `0` leaves the second stage out. None for as many as is usual.
    """
    tune_weight: bool = False
    """Add a row with the second stage's weight that is best on val."""
    faithfulness: int = 0
    """Of how many captions, with their own pictures, it is measured whether the regions with most weight
    matter."""
    device: str = "auto"
    batch_size: int = 256
    seed: int = 0
    """Of the bootstrap and of the permutations."""
    argv: Sequence[str] = ()


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
    _check_second_stage(settings, folder, manifest)
    if settings.faithfulness:
        check_run_explains(folder, settings.model)
    _check_comparable(settings, folder, other, manifest, reporter)
    with nullcontext() if folder is None else folder.locked():
        started = time.perf_counter()
        embedded = _embed(folder, manifest, settings, device, reporter)
        tuning = _tune(embedded, folder, settings, device, reporter) if settings.tune_weight else None
        rows = _rows(embedded, settings, tuning, reporter)
        headline = headline_of(rows)
        table = embedded.table(headline.ranks, _second_stage(embedded, settings))
        facts = _circumstances(settings, device, time.perf_counter() - started)
        evaluation = measure(embedded, rows, table, tuning, facts)
        if settings.faithfulness:
            over = (manifest, settings.split, settings.faithfulness, settings.home, device, settings.seed)
            evaluation = evaluation.with_faithfulness(measure_faithfulness(folder.path, *over, reporter))
        if folder is not None:
            save_ranks(folder.path, table)
            _record(folder, evaluation)
    if other is not None:
        comparison = _compare(table, other, manifest, settings, device, reporter)
        definitions = (*evaluation.definitions, bootstrap.DEFINITIONS["paired"])
        evaluation = replace(evaluation, comparison=comparison, definitions=definitions)
    worst = worst_cases(embedded, headline, settings.worst)
    return replace(evaluation, worst=tuple(worst))


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
    for name, least in (("batch_size", 1), ("worst", 0), ("faithfulness", 0), ("seed", 0)):
        if getattr(settings, name) < least:
            raise UsageError(
                f"{name}={getattr(settings, name)} is out of bounds. It must be at least {least}."
            )
    return find_device(settings.device)


def _dataset(settings: EvaluateSettings, folder: RunFolder | None) -> str:
    """The dataset to evaluate on, as its folder is called."""
    return folder.facts["dataset"] if settings.dataset is None else canonical(settings.dataset)


def _check_second_stage(settings: EvaluateSettings, folder: RunFolder | None, manifest: Manifest) -> None:
    """Find out before any work whether what is wished of a second stage can be had."""
    top = parse_top(settings.rerank_top)
    wishes = [f"--rerank-top {top}"] if settings.rerank_top is not None and top != 0 else []
    wishes += ["--tune-weight"] if settings.tune_weight else []
    if not wishes:
        return
    if folder is None or all(task.rerank is None for task in method_of(folder)[0].tasks):
        raise UsageError(
            f"'{settings.model or folder.path}' has no second stage. Leave out {' and '.join(wishes)}."
        )
    if settings.tune_weight:
        if top == 0:
            raise UsageError("--rerank-top 0 leaves out what --tune-weight tunes. Leave out one of them.")
        manifest.split(VAL)


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
    both_stages = parse_top(settings.rerank_top) != 0
    size = settings.batch_size
    return embed_run(folder, manifest, settings.split, settings.home, device, size, reporter, both_stages)


def _tune(
    embedded: Embedded,
    folder: RunFolder,
    settings: EvaluateSettings,
    device: torch.device,
    reporter: Reporter,
) -> Tuning:
    """The weight that is best on val, whatever split is measured.

    Raises:
        UsageError: when the second stage has no say.
    """
    if embedded.embeddings.second is None:
        raise UsageError(
            f"the second stage of '{folder.path}' has weight 0, so that there is nothing to tune. "
            "Leave out --tune-weight, or train it."
        )
    if settings.split != VAL:
        embedded = _embed(folder, embedded.manifest, replace(settings, split=VAL), device, reporter)
    return tune_weight(embedded.embeddings, embedded.first, parse_top(settings.rerank_top), reporter)


def _rows(
    embedded: Embedded, settings: EvaluateSettings, tuning: Tuning | None, reporter: Reporter
) -> list[RankedRow]:
    top = parse_top(settings.rerank_top)
    return ranked_rows(embedded.embeddings, embedded.first, top, tuning, reporter)


def _second_stage(embedded: Embedded, settings: EvaluateSettings) -> str:
    """What is kept of how the headline was made; two runs are compared where it is the same."""
    return f"top {parse_top(settings.rerank_top)}" if embedded.weight else ONE_STAGE


def _circumstances(settings: EvaluateSettings, device: torch.device, seconds: float) -> dict[str, Any]:
    return {
        "seed": settings.seed,
        "device": str(device),
        "seconds": round(seconds, 3),
        "peak_memory_mib": round(_peak_memory() / MEBIBYTE, 1),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(settings.argv),
        "mmx": __version__,
    }


def _compare(
    table: RankTable,
    other: RunFolder,
    manifest: Manifest,
    settings: EvaluateSettings,
    device: torch.device,
    reporter: Reporter,
) -> Comparison:
    """The second run on the same queries, from the ranks it has kept where they are still its own."""
    wanted = {**table.about, "fingerprint": other.fingerprint}
    wanted["second_stage"] = f"top {parse_top(settings.rerank_top)}"
    theirs = load_ranks(other.path, wanted)
    if theirs is None:
        with other.locked():
            embedded = _embed(other, manifest, settings, device, reporter)
            headline = headline_of(_rows(embedded, settings, None, reporter))
            theirs = embedded.table(headline.ranks, _second_stage(embedded, settings))
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
    row = headline_name(theirs.second_stage)
    return Comparison(str(other.path), row, recall.recall_metrics(theirs.ranks), tests)


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
