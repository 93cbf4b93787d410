"""Measure how well a run names entities of posts, or tells their sentiment."""

import dataclasses
import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from mmx import __version__
from mmx.core.device import default_precision, find_device
from mmx.core.errors import UsageError
from mmx.core.reporter import Reporter
from mmx.core.task import PostTask
from mmx.store.manifest import Manifest
from mmx.store.run import RunFolder, find_run
from mmx.workflows.answers import DIFFERENCE, Comparison, compare
from mmx.workflows.assemble import Assembly, method_of, open_run
from mmx.workflows.embedded import read_by_run
from mmx.workflows.evaluate_settings import (
    EvaluateSettings,
    check_comparable,
    dataset_of,
    refuse_ranking,
)
from mmx.workflows.evaluation import record
from mmx.workflows.label_files import LabelTable, load_labels, save_labels
from mmx.workflows.labelled import Interval, Labelled, check_labelled, label_split
from mmx.workflows.post_samples import draw_samples

SCHEMA = "mmx.evaluate-posts/1"


@dataclass(frozen=True)
class PostEvaluation:
    """What was measured, of what and on what."""

    name: str
    facts: Mapping[str, Any]
    metrics: Mapping[str, float]
    intervals: Mapping[str, Interval]
    rows: tuple[Mapping[str, Any], ...]
    """Each type of entity, or each class."""
    remarks: tuple[str, ...]
    definitions: tuple[str, ...]
    comparison: Comparison | None = None
    """A second run on the same posts."""
    samples: Path | None = None
    """Where what the model made up of a few posts is drawn."""

    def document(self) -> dict[str, Any]:
        """All of it as plain data, for JSON."""
        plain = dataclasses.asdict(self)
        facts = plain.pop("facts")
        intervals = {name: list(pair) for name, pair in plain.pop("intervals").items()}
        samples = None if self.samples is None else str(self.samples)
        return {"schema": SCHEMA, **facts, **plain, "intervals": intervals, "samples": samples}


def reads_posts(run: Path | None, settings: EvaluateSettings) -> bool:
    """Whether a run that is named reads posts one by one, instead of matching.

    Raises:
        ArtifactError: when there is no such run.
    """
    if run is None or settings.model is not None:
        return False
    method, _ = method_of(find_run(run, settings.home.runs))
    return all(isinstance(task, PostTask) for task in method.tasks)


def evaluate_posts(settings: EvaluateSettings, samples: int, reporter: Reporter) -> PostEvaluation:
    """Label every post of a split, and say how sure the numbers are; the run keeps them in its metrics.json.

    Raises:
        UsageError: for words that do not fit together, or a split that is not there.
        ArtifactError: when the run, dataset, features or weights are missing or do not fit.
        DataError: when the split has nothing of what the run tells.
    """
    refuse_ranking(settings, "posts")
    device, started = find_device(settings.device), time.perf_counter()
    folder = find_run(settings.run, settings.home.runs)
    manifest = Manifest.open(settings.home.dataset(dataset_of(settings, folder)))
    manifest.split(settings.split)
    other = None if settings.compare is None else find_run(settings.compare, settings.home.runs)
    check_comparable(settings, folder, other, manifest, reporter)
    if other is not None and not reads_posts(other.path, settings):
        raise UsageError(f"'{other.path}' labels no posts. Compare with a run that does: mmx runs")
    with folder.locked():
        assembly, model, fingerprint = _open(folder, settings, manifest, device, reporter)
        shown = (assembly, model, settings.split, samples, settings.seed, device)
        drawn = draw_samples(*shown) if samples else None
        found, precision = _label(folder, assembly, model, settings, device, reporter)
        facts = {
            **_about(folder, fingerprint, manifest, assembly, settings),
            "posts": found.posts,
            "precision": precision,
            "seed": settings.seed,
            "device": str(device),
            "seconds": round(time.perf_counter() - started, 3),
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": shlex.join(settings.argv),
            "mmx": __version__,
        }
        told = (found.metrics, found.intervals(settings.seed), tuple(found.rows))
        remarks = (*_missing_pictures(facts), *found.remarks)
        evaluation = PostEvaluation(str(folder.path), facts, *told, remarks, found.definitions)
        table = _table(found, fingerprint, manifest, assembly, settings)
        save_labels(folder.path, table)
        record(folder, evaluation.document(), ("comparison", "samples"))
        if drawn is not None:
            evaluation = dataclasses.replace(evaluation, samples=drawn(folder.path))
    if other is not None:
        theirs = kept_posts(other, manifest, settings, device, reporter)
        beside = compare(folder.path, table, other.path, theirs.task, theirs, settings.seed)
        definitions = (*evaluation.definitions, DIFFERENCE, found.paired)
        evaluation = dataclasses.replace(evaluation, comparison=beside, definitions=definitions)
    return evaluation


def _open(
    folder: RunFolder,
    settings: EvaluateSettings,
    manifest: Manifest,
    device: torch.device,
    reporter: Reporter,
) -> tuple[Assembly, torch.nn.Module, str]:
    opened = open_run(folder.path, settings.home, device, manifest.name)
    assembly = read_by_run(opened, manifest, settings.split, device, reporter)
    where = f"'{manifest.name}' {settings.split}"
    check_labelled(assembly.fitted.task, manifest.split(settings.split), where)
    return assembly, opened.model, opened.fingerprint


def _label(
    folder: RunFolder,
    assembly: Assembly,
    model: torch.nn.Module,
    settings: EvaluateSettings,
    device: torch.device,
    reporter: Reporter,
) -> tuple[Labelled, str]:
    # what was trained and selected in full precision is measured in it
    precision = "fp32" if folder.facts.get("precision") == "fp32" else default_precision(device)
    fitted, data = assembly.fitted, assembly.data(settings.split)
    names = fitted.task.labels(fitted.assets)
    told = (data, device, precision, reporter, settings.batch_size)
    return label_split(model, fitted.task, names, *told), precision


def _about(
    folder: RunFolder, fingerprint: str, manifest: Manifest, assembly: Assembly, settings: EvaluateSettings
) -> dict[str, Any]:
    records = manifest.split(settings.split)
    return {
        "task": assembly.fitted.task.name,
        "primary_metric": assembly.fitted.task.primary_metric,
        "method": folder.facts["method"],
        "encoders": {key: fact["encoder"] for key, fact in folder.facts["towers"].items()},
        "fingerprint": fingerprint,
        "dataset": manifest.name,
        "manifest_fingerprint": manifest.fingerprint,
        "split": settings.split,
        "without_picture": sum(record.image is None for record in records),
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
    about = (manifest.name, manifest.fingerprint, settings.split)
    wanted = dict(zip(("dataset", "manifest_fingerprint", "split"), about, strict=True))
    found = load_labels(run.path, {"fingerprint": run.fingerprint, **wanted})
    if found is not None:
        return found
    with run.locked():
        assembly, model, fingerprint = _open(run, settings, manifest, device, reporter)
        labelled, _ = _label(run, assembly, model, settings, device, reporter)
        table = _table(labelled, fingerprint, manifest, assembly, settings)
        save_labels(run.path, table)
    return table


def _table(
    found: Labelled, fingerprint: str, manifest: Manifest, assembly: Assembly, settings: EvaluateSettings
) -> LabelTable:
    task = assembly.fitted.task
    about = (fingerprint, manifest.name, manifest.fingerprint, settings.split)
    return LabelTable(found, *about, task.name, task.primary_metric)
