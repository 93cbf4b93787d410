"""Measure how often a classifier that was kept as a run is right, and whether its probabilities hold."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmx.core.device import find_device
from mmx.core.errors import ArtifactError, DataError, UsageError
from mmx.core.reporter import Reporter
from mmx.reports.confusion import draw_confusion
from mmx.store.manifest import Manifest
from mmx.store.run import RunFolder, find_run
from mmx.tasks.classification import DEFINITIONS, calibration_error, class_scores
from mmx.workflows.class_texts import plain_name
from mmx.workflows.evaluate_settings import (
    EvaluateSettings,
    check_comparable,
    dataset_of,
    refuse_ranking,
)
from mmx.workflows.evaluation import record
from mmx.workflows.head_run import Head, is_head, open_head
from mmx.workflows.label_evaluation import LabelEvaluation
from mmx.workflows.label_files import LabelTable, kept_labels, save_labels
from mmx.workflows.labelled import SortedSplit
from mmx.workflows.making import making
from mmx.workflows.shot_features import open_shot_features
from mmx.workflows.shots import ShotSource

MOST_CONFUSED = 5


@dataclass(frozen=True, kw_only=True)
class HeadEvaluation(LabelEvaluation):
    """Classes of photos: those that are taken for each other, too."""

    schema = "mmx.evaluate-labels/1"

    confused: tuple[tuple[str, str, int], ...]
    """(right, said, pictures), the most frequent first."""
    picture: Path
    """The confusion matrix, drawn."""

    def document(self) -> dict[str, Any]:
        """All of it as plain data, for JSON."""
        confused = [{"right": right, "said": said, "pictures": count} for right, said, count in self.confused]
        return {**super().document(), "confused": confused, "picture": str(self.picture)}


def evaluate_head(folder: RunFolder, settings: EvaluateSettings, reporter: Reporter) -> HeadEvaluation:
    """Label every picture of a split that is of a class which the run knows; the run keeps the numbers.

    Raises:
        UsageError: for words that do not fit together, or a split that is not there.
        ArtifactError: when the dataset or features are missing or do not fit.
        DataError: when no picture of the split is of a class of the run.
    """
    refuse_ranking(settings, "photos")
    device, began = find_device(settings.device), time.perf_counter()
    manifest = Manifest.open(settings.home.dataset(dataset_of(settings, folder)))
    manifest.split(settings.split)
    other = None if settings.compare is None else find_run(settings.compare, settings.home.runs)
    check_comparable(settings, folder, other, manifest, reporter)
    with folder.locked():
        head = open_head(folder)
        labels, features = _read(folder, head, manifest, settings, device, reporter)
        probabilities = head.probabilities(features)
        found = SortedSplit(head.class_names, labels, probabilities.argmax(1), 0)
        table, confusion = _table(folder, manifest, settings, found), found.confusion
        error = {"calibration_error": calibration_error(probabilities, labels)}
        facts = {
            **_about(folder, head, manifest, settings),
            "pictures": len(labels),
            "device": str(device),
            "seconds": round(time.perf_counter() - began, 3),
        }
        evaluation = HeadEvaluation(
            name=str(folder.path),
            facts=facts,
            metrics=table.metrics | error,
            intervals=table.intervals(settings.seed),
            rows=tuple(_rows(head.class_names, confusion)),
            confused=_confused(head.class_names, confusion),
            picture=folder.path / f"confusion-{manifest.name}-{settings.split}.png",
            remarks=tuple(_remarks(manifest, settings.split, len(labels))),
            definitions=tuple(DEFINITIONS[name] for name in ("accuracy", "f1", "calibration", "interval")),
        )
        title = f"{folder.facts['method']} on {manifest.name} {settings.split}"
        draw_confusion(title, head.class_names, confusion, evaluation.picture)
        save_labels(folder.path, table)
        record(folder, evaluation.document(), ("comparison",))
    if other is not None:
        theirs = kept_head(other, manifest, settings, device, reporter)
        evaluation = evaluation.compared(table, other.path, theirs, settings.seed)
    return evaluation


def kept_head(
    run: RunFolder, manifest: Manifest, settings: EvaluateSettings, device: torch.device, reporter: Reporter
) -> LabelTable:
    """What a run says of the pictures of a split: from its file where that is of these weights and this data,
    else labelled and kept.

    Raises:
        UsageError: when the run holds no few-shot classifier.
        ArtifactError: when the file is broken, or the run or features are missing or do not fit.
        DataError: when no picture of the split is of a class of the run.
    """
    if not is_head(run):
        raise UsageError(f"'{run.path}' labels no photos. Compare with a run that does: mmx runs")

    def label() -> LabelTable:
        head = open_head(run)
        labels, features = _read(run, head, manifest, settings, device, reporter)
        predicted = head.probabilities(features).argmax(1)
        return _table(run, manifest, settings, SortedSplit(head.class_names, labels, predicted, 0))

    return kept_labels(run, manifest, settings.split, label)


def _table(run: RunFolder, manifest: Manifest, settings: EvaluateSettings, found: SortedSplit) -> LabelTable:
    about = (run.fingerprint, manifest.name, manifest.fingerprint, settings.split)
    return LabelTable(found, *about, "labelling", "accuracy")


def _read(
    folder: RunFolder,
    head: Head,
    manifest: Manifest,
    settings: EvaluateSettings,
    device: torch.device,
    reporter: Reporter,
) -> tuple[Tensor, Tensor]:
    """Classes [N] and features [N, F] of the pictures whose class the run knows, by its name."""
    known = {plain_name(name).lower(): place for place, name in enumerate(head.class_names)}
    names = [plain_name(name).lower() for name in manifest.class_names]
    labels = {label: known[name] for label, name in enumerate(names) if name in known}
    source = ShotSource(manifest, labels, head.class_names)
    places = source.places(settings.split)
    if not places:
        raise DataError(
            f"no picture of '{manifest.name}' {settings.split} is of a class that '{folder.path}' knows: "
            f"{', '.join(head.class_names[:3])}, ..."
        )
    fact = folder.facts["towers"]["image"]
    found = open_shot_features(
        settings.home, manifest, fact["encoder"], [settings.split], device.type, reporter
    )
    if (found.fingerprint, found.field) != (fact["fingerprint"], fact["features"][0]):
        raise ArtifactError(
            f"'{folder.path}' learned from {fact['features'][0]} of '{fact['encoder']}' with fingerprint "
            f"'{fact['fingerprint']}', but '{manifest.name}' has {found.field} with '{found.fingerprint}'. "
            f"Extract again: mmx extract {manifest.name} --encoder {fact['encoder']} --overwrite"
        )
    return torch.tensor(source.classes(places)), found.read(places)


def _about(folder: RunFolder, head: Head, manifest: Manifest, settings: EvaluateSettings) -> dict[str, Any]:
    return {
        "task": "labelling",
        "primary_metric": "accuracy",
        "method": head.method,
        "encoders": {"image": folder.facts["towers"]["image"]["encoder"]},
        "fingerprint": folder.fingerprint,
        "dataset": manifest.name,
        "manifest_fingerprint": manifest.fingerprint,
        "split": settings.split,
        "classes": len(head.class_names),
        "seed": settings.seed,
        **making(settings.argv),
    }


def _rows(names: Sequence[str], confusion: Tensor) -> list[dict[str, Any]]:
    scores = class_scores(confusion)
    columns = (scores.support, scores.precision, scores.recall, scores.f1)
    cells = zip(*(column.tolist() for column in columns), strict=True)
    keys = ("pictures", "precision", "recall", "f1")
    return [
        {"class": name, **dict(zip(keys, row, strict=True))} for name, row in zip(names, cells, strict=True)
    ]


def _confused(names: Sequence[str], confusion: Tensor) -> tuple[tuple[str, str, int], ...]:
    wrong = confusion.clone().fill_diagonal_(0)
    counts, places = wrong.flatten().topk(min(MOST_CONFUSED, wrong.numel()))
    pairs = ((names[place // len(names)], names[place % len(names)]) for place in places.tolist())
    return tuple((*pair, count) for pair, count in zip(pairs, counts.tolist(), strict=True) if count)


def _remarks(manifest: Manifest, split: str, measured: int) -> list[str]:
    left = len(manifest.split(split)) - measured
    said = [f"{left:,} pictures are of classes that the run does not know, and left out."] if left else []
    if split == "val":
        said.append("Choices were made on some pictures of val, which flatters.")
    return said
