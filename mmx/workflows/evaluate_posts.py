"""Measure how well a run names entities of posts, or tells their sentiment."""

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mmx.core.device import find_device
from mmx.core.errors import UsageError
from mmx.core.reporter import Reporter
from mmx.core.task import PostTask
from mmx.store.manifest import Manifest
from mmx.store.run import RunFolder, find_run
from mmx.workflows.assemble import Assembly
from mmx.workflows.embedded import read_by_run
from mmx.workflows.evaluate_settings import (
    EvaluateSettings,
    check_comparable,
    dataset_of,
    refuse_ranking,
)
from mmx.workflows.evaluation import record
from mmx.workflows.label_evaluation import LabelEvaluation
from mmx.workflows.label_files import LabelTable, kept_labels, save_labels
from mmx.workflows.labelled import SortedSplit, TaggedSplit, check_labelled, label_split, post_task
from mmx.workflows.making import making
from mmx.workflows.opened_run import OpenedRun, method_of, open_run
from mmx.workflows.post_samples import draw_samples


@dataclass(frozen=True, kw_only=True)
class PostEvaluation(LabelEvaluation):
    """Entities or sentiments of posts."""

    schema = "mmx.evaluate-posts/1"

    samples: Path | None = None
    """Where what the model made up of a few posts is drawn."""

    def document(self) -> dict[str, Any]:
        """All of it as plain data, for JSON."""
        return {**super().document(), "samples": None if self.samples is None else str(self.samples)}


def reads_posts(run: RunFolder) -> bool:
    """Whether a run reads posts one by one, instead of matching.

    Raises:
        UsageError: when it holds a few-shot classifier.
        ArtifactError: when this mmx has its method no longer.
    """
    method, _ = method_of(run)
    return all(isinstance(task, PostTask) for task in method.tasks)


def evaluate_posts(folder: RunFolder, settings: EvaluateSettings, reporter: Reporter) -> PostEvaluation:
    """Label every post of a split, and say how sure the numbers are; the run keeps them in its metrics.json.

    Raises:
        UsageError: for words that do not fit together, or a split that is not there.
        ArtifactError: when the dataset, features or weights are missing or do not fit.
        DataError: when the split has nothing of what the run tells.
    """
    refuse_ranking(settings, "posts")
    device, started = find_device(settings.device), time.perf_counter()
    manifest = Manifest.open(settings.home.dataset(dataset_of(settings, folder)))
    manifest.split(settings.split)
    other = None if settings.compare is None else find_run(settings.compare, settings.home.runs)
    check_comparable(settings, folder, other, manifest, reporter)
    if other is not None and not reads_posts(other):
        raise UsageError(f"'{other.path}' labels no posts. Compare with a run that does: mmx runs")
    with folder.locked():
        opened, assembly = _open(folder, settings, manifest, device, reporter)
        shown = (assembly, opened.model, settings.split, settings.samples, settings.seed, device)
        drawn = draw_samples(*shown) if settings.samples else None
        found = _label(opened, assembly, settings, device, reporter)
        facts = {
            **_about(opened, assembly, settings),
            "posts": found.posts,
            "precision": opened.precision(device),
            "seed": settings.seed,
            "device": str(device),
            "seconds": round(time.perf_counter() - started, 3),
            **making(settings.argv),
        }
        evaluation = PostEvaluation(
            name=str(folder.path),
            facts=facts,
            metrics=found.metrics,
            intervals=found.intervals(settings.seed),
            rows=tuple(found.rows),
            remarks=(*_missing_pictures(facts), *found.remarks),
            definitions=found.definitions,
        )
        table = _table(found, opened, assembly, settings)
        save_labels(folder.path, table)
        record(folder, evaluation.document(), ("comparison", "samples"))
        if drawn is not None:
            evaluation = dataclasses.replace(evaluation, samples=drawn(folder.path))
    if other is not None:
        theirs = kept_posts(other, manifest, settings, device, reporter)
        evaluation = evaluation.compared(table, other.path, theirs, settings.seed)
    return evaluation


def _open(
    folder: RunFolder,
    settings: EvaluateSettings,
    manifest: Manifest,
    device: torch.device,
    reporter: Reporter,
) -> tuple[OpenedRun, Assembly]:
    opened = open_run(folder.path, settings.home, device, manifest.name)
    assembly = read_by_run(opened, manifest, settings.split, device, reporter)
    where = f"'{manifest.name}' {settings.split}"
    check_labelled(post_task(assembly.fitted.task), manifest.split(settings.split), where)
    return opened, assembly


def _label(
    opened: OpenedRun,
    assembly: Assembly,
    settings: EvaluateSettings,
    device: torch.device,
    reporter: Reporter,
) -> TaggedSplit | SortedSplit:
    task, data = post_task(assembly.fitted.task), assembly.data(settings.split)
    told = (data, device, opened.precision(device), reporter, settings.batch_size)
    return label_split(opened.model, task, task.labels(assembly.fitted.assets), *told)


def _about(opened: OpenedRun, assembly: Assembly, settings: EvaluateSettings) -> dict[str, Any]:
    facts, manifest = opened.folder.facts, assembly.manifest
    return {
        "task": assembly.fitted.task.name,
        "primary_metric": assembly.fitted.task.primary_metric,
        "method": facts["method"],
        "encoders": {key: fact["encoder"] for key, fact in facts["towers"].items()},
        "fingerprint": opened.fingerprint,
        "dataset": manifest.name,
        "manifest_fingerprint": manifest.fingerprint,
        "split": settings.split,
        "without_picture": sum(record.image is None for record in manifest.split(settings.split)),
        "reads_pictures": "image" in assembly.uses,
    }


def _missing_pictures(facts: Mapping[str, Any]) -> list[str]:
    without, posts = facts["without_picture"], facts["posts"]
    if not facts["reads_pictures"] or not without:
        return []
    return [f"{without:,} of {posts:,} posts have no picture: a learned token stands in its place."]


def kept_posts(
    run: RunFolder, manifest: Manifest, settings: EvaluateSettings, device: torch.device, reporter: Reporter
) -> LabelTable:
    """What a run says of the posts of a split: from its file where that is of these weights and this data,
    else labelled and kept.

    Raises:
        ArtifactError: when the file is broken, or weights or features are missing or do not fit.
        DataError: when the split has nothing of what the run tells.
    """

    def label() -> LabelTable:
        opened, assembly = _open(run, settings, manifest, device, reporter)
        return _table(_label(opened, assembly, settings, device, reporter), opened, assembly, settings)

    return kept_labels(run, manifest, settings.split, label)


def _table(
    found: TaggedSplit | SortedSplit, opened: OpenedRun, assembly: Assembly, settings: EvaluateSettings
) -> LabelTable:
    task, manifest = assembly.fitted.task, assembly.manifest
    about = (opened.fingerprint, manifest.name, manifest.fingerprint, settings.split)
    return LabelTable(found, *about, task.name, task.primary_metric)
