"""Measure how well a run, or a pretrained pair of towers, matches the pictures and captions of a split."""

import resource
import sys
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from mmx.core.errors import ArtifactError, UsageError
from mmx.core.home import Home
from mmx.core.present import present
from mmx.core.reporter import Reporter
from mmx.store.manifest import Manifest
from mmx.store.run import RunFolder, find_run
from mmx.store.run_record import newest_record
from mmx.store.shipped import results_place
from mmx.workflows.answers import compare
from mmx.workflows.embedded import Embedded
from mmx.workflows.evaluate_settings import (
    EvaluateSettings,
    check_comparable,
    check_stages,
    checked,
    dataset_of,
)
from mmx.workflows.evaluation import Evaluation, measure, record
from mmx.workflows.faithfulness import check_run_explains, measure_faithfulness
from mmx.workflows.gallery_file import check_place, write_gallery
from mmx.workflows.making import making
from mmx.workflows.rank_files import save_ranks
from mmx.workflows.rankings import embed, kept_ranks, rows_of, second_stage_of
from mmx.workflows.stage_rows import VAL, Tuning, headline_name, headline_of, parse_top, tune_weight
from mmx.workflows.worst_cases import worst_cases

MEBIBYTE = 2**20


def evaluate_ranking(settings: EvaluateSettings, reporter: Reporter) -> Evaluation:
    """Embed, rank, and say how sure the numbers are; a run keeps them in its metrics.json.

    Raises:
        UsageError: for words that do not fit together, or a split that is not there.
        ArtifactError: when the run, dataset, features or weights are missing or do not fit; or when the run
            compared with was trained on another dataset.
    """
    device = checked(settings)
    if settings.gallery is not None:
        check_place(settings.gallery)
    folder = None if settings.model is not None else _named_or_newest(settings.run, settings.home)
    other = None if settings.compare is None else find_run(settings.compare, settings.home.runs)
    manifest = Manifest.open(settings.home.dataset(dataset_of(settings, folder)))
    manifest.split(settings.split)
    check_stages(settings, folder, manifest)
    if settings.faithfulness:
        check_run_explains(folder, settings.model)
    check_comparable(settings, folder, other, manifest, reporter)
    place = None if folder is None else results_place(folder.path, settings.home)
    with nullcontext() if folder is None else folder.locked(place):
        started = time.perf_counter()
        embedded = embed(folder, manifest, settings, device, reporter)
        tuning = (
            _tune(embedded, present(folder), settings, device, reporter) if settings.tune_weight else None
        )
        rows = rows_of(embedded, settings, tuning, reporter)
        headline = headline_of(rows)
        table = embedded.table(headline.ranks, second_stage_of(embedded, settings))
        facts = _circumstances(settings, device, time.perf_counter() - started)
        evaluation = measure(embedded, rows, table, tuning, facts)
        if settings.faithfulness:
            over = (manifest, settings.split, settings.faithfulness, settings.home, device, settings.seed)
            evaluation = evaluation.with_faithfulness(
                measure_faithfulness(present(folder).path, *over, reporter)
            )
        if folder is not None:
            save_ranks(present(place), table)
            record(folder, evaluation.document(), ("comparison", "worst"), place)
    if other is not None:
        theirs = kept_ranks(other, manifest, settings, device, reporter)
        row = headline_name(theirs.second_stage)
        name = folder.path if folder is not None else Path(embedded.name)
        evaluation = evaluation.compared(compare(name, table, other.path, row, theirs, settings.seed))
    worst = worst_cases(embedded, headline, settings.worst)
    if settings.gallery is not None:
        write_gallery(embedded, headline, settings.gallery, settings.gallery_queries)
        reporter.info(f"gallery: {settings.gallery}")
    return replace(evaluation, worst=tuple(worst))


def _named_or_newest(given: Path | None, home: Home) -> RunFolder:
    if given is not None:
        return find_run(given, home.runs)
    newest = newest_record(home.runs, "retrieval")
    if newest is None:
        raise ArtifactError(
            f"there is no trained run in '{home.runs}' that matches pictures and words. Train one: mmx train "
            "METHOD --dataset NAME; a run that labels is named: mmx evaluate RUN. Or evaluate a pretrained "
            "pair: mmx evaluate --model clip-vit-b32 --dataset NAME"
        )
    return RunFolder.open(newest.path)


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
        embedded = embed(folder, embedded.manifest, replace(settings, split=VAL), device, reporter)
    return tune_weight(embedded.embeddings, embedded.first, parse_top(settings.rerank_top), reporter)


def _circumstances(settings: EvaluateSettings, device: torch.device, seconds: float) -> dict[str, Any]:
    return {
        "seed": settings.seed,
        "device": str(device),
        "seconds": round(seconds, 3),
        "peak_memory_mib": round(_peak_memory() / MEBIBYTE, 1),
        **making(settings.argv),
    }


def _peak_memory() -> int:
    """The most memory this process has held, in bytes; Linux counts in KiB, macOS in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
