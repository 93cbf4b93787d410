"""Measure how often a classifier that was kept as a run is right, and whether its probabilities hold."""

import dataclasses
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmx import __version__
from mmx.core.device import find_device
from mmx.core.errors import ArtifactError, DataError
from mmx.core.reporter import Reporter
from mmx.reports.confusion import draw_confusion
from mmx.store.manifest import Manifest
from mmx.store.run import RunFolder, find_run
from mmx.tasks.classification import (
    DEFINITIONS,
    calibration_error,
    class_scores,
    classification_metrics,
    confusion_matrix,
    intervals,
)
from mmx.workflows.class_texts import plain_name
from mmx.workflows.evaluate_settings import (
    EvaluateSettings,
    dataset_of,
    refuse_ranking,
    warn_of_other_state,
)
from mmx.workflows.evaluation import record
from mmx.workflows.head_run import Head, is_head, open_head
from mmx.workflows.shot_features import open_shot_features
from mmx.workflows.shots import ShotSource

SCHEMA = "mmx.evaluate-labels/1"
MOST_CONFUSED = 5


@dataclass(frozen=True)
class HeadEvaluation:
    """What was measured, of what and on what."""

    name: str
    facts: Mapping[str, Any]
    metrics: Mapping[str, float]
    """Percent."""
    intervals: Mapping[str, tuple[float, float]]
    rows: tuple[Mapping[str, Any], ...]
    """Each class: name, pictures, precision, recall and F1."""
    confused: tuple[tuple[str, str, int], ...]
    """(right, said, pictures), the most frequent first."""
    picture: Path
    """The confusion matrix, drawn."""
    remarks: tuple[str, ...]
    definitions: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """All of it as plain data, for JSON."""
        plain = dataclasses.asdict(self)
        facts = plain.pop("facts")
        confused = [{"right": right, "said": said, "pictures": count} for right, said, count in self.confused]
        spans = {name: list(pair) for name, pair in self.intervals.items()}
        changed = {"intervals": spans, "confused": confused, "picture": str(self.picture)}
        return {"schema": SCHEMA, **facts, **plain, **changed}


def labels_photos(settings: EvaluateSettings) -> bool:
    """Whether a run that is named holds a few-shot classifier.

    Raises:
        ArtifactError: when there is no such run.
    """
    if settings.run is None or settings.model is not None:
        return False
    return is_head(find_run(settings.run, settings.home.runs))


def evaluate_head(settings: EvaluateSettings, reporter: Reporter) -> HeadEvaluation:
    """Label every picture of a split that is of a class which the run knows; the run keeps the numbers.

    Raises:
        UsageError: for words that do not fit together, or a split that is not there.
        ArtifactError: when the run, dataset or features are missing or do not fit.
        DataError: when no picture of the split is of a class of the run.
    """
    refuse_ranking(settings, "photos", {"--compare": settings.compare is not None})
    device, began = find_device(settings.device), time.perf_counter()
    folder = find_run(settings.run, settings.home.runs)
    manifest = Manifest.open(settings.home.dataset(dataset_of(settings, folder)))
    manifest.split(settings.split)
    warn_of_other_state(folder, manifest, reporter)
    with folder.locked():
        head = open_head(folder)
        labels, features = _read(folder, head, manifest, settings, device, reporter)
        probabilities = head.probabilities(features)
        predicted, count = probabilities.argmax(1), len(head.class_names)
        confusion = confusion_matrix(predicted, labels, count)
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
            metrics=classification_metrics(confusion) | error,
            intervals=intervals(predicted, labels, count, seed=settings.seed),
            rows=tuple(_rows(head.class_names, confusion)),
            confused=_confused(head.class_names, confusion),
            picture=folder.path / f"confusion-{manifest.name}-{settings.split}.png",
            remarks=tuple(_remarks(manifest, settings.split, len(labels))),
            definitions=tuple(DEFINITIONS.values()),
        )
        title = f"{folder.facts['method']} on {manifest.name} {settings.split}"
        draw_confusion(title, head.class_names, confusion, evaluation.picture)
        record(folder, evaluation.document())
    return evaluation


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
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(settings.argv),
        "mmx": __version__,
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
