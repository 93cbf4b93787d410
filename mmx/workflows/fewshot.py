"""Compare few-shot classifiers on the same shots, and keep the one that val likes best."""

import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmx.core.classifier import Episode, Fitted
from mmx.core.device import find_device
from mmx.core.errors import UsageError
from mmx.core.names import canonical
from mmx.core.paths import expanded
from mmx.core.reporter import Reporter
from mmx.reports.shots_curve import draw_shots_curve
from mmx.store.atomic import check_makeable, write_json
from mmx.store.manifest import Manifest
from mmx.store.run import check_free
from mmx.tasks.classification import (
    calibrated_losses,
    classification_metrics,
    confusion_matrix,
    fit_temperature,
)
from mmx.workflows.class_texts import FoundTexts
from mmx.workflows.contenders import Contender, find_contenders
from mmx.workflows.episodes import Shown, fingerprint, open_labelled, remarks_on, show
from mmx.workflows.fewshot_settings import FewshotSettings, asked_of, check
from mmx.workflows.head_run import BATCH, Head, save_head
from mmx.workflows.making import making
from mmx.workflows.shot_table import LeftOut, ShotTable, Trial, best_on_val
from mmx.workflows.shots import Drawn

CURVE, TABLE = "shots.png", "fewshot.json"


@dataclass(frozen=True)
class Finished:
    """A trial with the classifier that it gave."""

    trial: Trial
    contender: Contender
    settings: Any
    fitted: Fitted
    val_logits: Tensor
    val_labels: Tensor
    shown: str
    """Fingerprint of the episode it learned from."""


def fewshot(settings: FewshotSettings, reporter: Reporter) -> ShotTable:
    """Every classifier on the same shots of each seed; the one that val likes best is kept as a run.

    Raises:
        UsageError: when the words do not fit together, or no classifier can be run.
        ArtifactError: when the dataset is not prepared, or features or weights are not to be had.
        DataError: when a class has no picture to learn from.
        ResourceError: when the run's folder cannot be written; found before any work.
    """
    check(settings)
    return compare(settings, find_contenders(settings.methods, settings.assignments), reporter)


def compare(settings: FewshotSettings, contenders: Sequence[Contender], reporter: Reporter) -> ShotTable:
    """The same, of given classifiers."""
    began, device = time.perf_counter(), find_device(settings.device)
    manifest = open_labelled(settings)
    out = settings.out or settings.home.new_run(f"fewshot-{canonical(settings.dataset)}")
    check_free(out)
    check_makeable(out)
    shown = show(settings, manifest, device, reporter)
    left_out, able = _split_off(contenders, shown.texts, settings)
    drawn = {
        (shots, seed): shown.source.draw(shots, seed) for shots in settings.shots for seed in settings.seeds
    }
    remarks = remarks_on(drawn)
    for remark in remarks:
        reporter.warn(remark)
    finished: list[Finished] = []
    with reporter.progress("few shots", len(drawn) * len(able), "fits") as bar:
        for (shots, seed), pictures in drawn.items():
            episode = shown.episode(pictures, seed)
            test = shown.reported(settings.split, pictures)
            for contender in able:
                bar.note(contender.name)
                finished.append(_try(contender, episode, test, shown.features.encoder, shots))
                bar.advance()
    trials = tuple(found.trial for found in finished)
    chosen = best_on_val(trials, [contender.name for contender in able])
    first = next(iter(drawn.values()))
    facts = _facts(settings, manifest, shown, first, device)
    kept = next(f for f in finished if (f.trial.name, f.trial.shots) == (chosen, max(settings.shots)))
    run = _keep(out, kept, shown, settings, facts)
    table = ShotTable(
        facts=facts,
        trials=trials,
        learns={contender.name: contender.classifier.learns for contender in able},
        left_out=tuple(left_out),
        chosen=chosen,
        run=run,
        curve=expanded(settings.curve or run / CURVE).absolute(),
        seconds=time.perf_counter() - began,
        remarks=tuple(remarks),
    )
    _draw(table)
    write_json(run / TABLE, table.document())
    return table


def _split_off(
    contenders: Sequence[Contender], texts: FoundTexts, settings: FewshotSettings
) -> tuple[list[LeftOut], list[Contender]]:
    """Those that lack what they need, and those that can be run.

    Raises:
        UsageError: when none can.
    """
    left_out, able = [], []
    for contender in contenders:
        wanted = contender.settings(settings.encoder, settings.shots[0])
        why = texts.lacks(contender.classifier.needs_texts(wanted))
        if why is None:
            able.append(contender)
        else:
            left_out.append(LeftOut(contender.name, why))
    if not able:
        raise UsageError(
            f"'{left_out[0].name}' cannot be run: {left_out[0].why}. Take an encoder with both towers "
            "(--encoder clip-vit-b32), or give --class-texts FILE."
        )
    return left_out, able


def _try(
    contender: Contender, episode: Episode, reported: tuple[Tensor, Tensor], encoder: str, shots: int
) -> Finished:
    settings = contender.settings(encoder, shots)
    began = time.perf_counter()
    fitted = contender.classifier.fit(settings, episode)
    seconds = time.perf_counter() - began
    with torch.inference_mode():
        val = contender.classifier.score(settings, fitted.tensors, episode.val_features)
        features, labels = reported
        parts = [contender.classifier.score(settings, fitted.tensors, some) for some in features.split(BATCH)]
    predicted = torch.cat(parts).argmax(1)
    trial = Trial(
        name=contender.name,
        shots=shots,
        seed=episode.seed,
        val_accuracy=_accuracy(val, episode.val_labels),
        val_loss=float(calibrated_losses(val, episode.val_labels).mean()) if len(val) else 0.0,
        metrics=classification_metrics(confusion_matrix(predicted, labels, episode.classes)),
        seconds=round(seconds, 4),
        chosen=fitted.chosen,
    )
    return Finished(trial, contender, settings, fitted, val, episode.val_labels, fingerprint(episode))


def _accuracy(logits: Tensor, labels: Tensor) -> float:
    return 100 * float((logits.argmax(1) == labels).double().mean()) if len(labels) else 0.0


def _facts(
    settings: FewshotSettings, manifest: Manifest, shown: Shown, drawn: Drawn, device: torch.device
) -> dict[str, Any]:
    return {
        "dataset": manifest.name,
        "manifest_fingerprint": manifest.fingerprint,
        "split": settings.split,
        "pictures": len(shown.source.places(settings.split)),
        "classes": len(shown.source.class_names),
        "encoder": shown.features.encoder,
        "features": shown.features.field,
        "class_texts": "no class texts" if shown.texts.texts is None else shown.texts.said,
        "prompts": list(shown.texts.prompts),
        "shots": sorted(settings.shots),
        "seeds": list(settings.seeds),
        "shots_from": drawn.source,
        "device": str(device),
        **making(settings.argv),
    }


def _keep(
    out: Path, kept: Finished, shown: Shown, settings: FewshotSettings, facts: Mapping[str, Any]
) -> Path:
    """The run of a classifier, with the temperature at which its probabilities hold on val."""
    temperature = fit_temperature(kept.val_logits, kept.val_labels) if len(kept.val_labels) else 1.0
    texts = shown.texts.texts
    words = () if texts is None else texts.words
    head = Head(
        kept.contender.method, kept.contender.classifier, kept.settings, kept.fitted.tensors, temperature,
        shown.source.class_names, words,
    )  # fmt: skip
    store = shown.features
    tower = {
        "encoder": store.encoder,
        "fingerprint": store.fingerprint,
        "taken_in": store.taken_in,
        "width": store.width,
        "trainable": False,
        "features": [store.field],
    }
    whole = {
        **{
            name: facts[name]
            for name in ("dataset", "manifest_fingerprint", "device", "class_texts", "prompts")
        },
        "towers": {"image": tower},
        "seed": kept.trial.seed,
        "labels": list(shown.source.labels),
        "argv": shlex.split(facts["command"]),
        "asked": asked_of(settings),
        "episode": kept.shown,
    }
    reached = {"accuracy": kept.trial.val_accuracy, "log_loss": kept.trial.val_loss}
    return save_head(out, head, kept.fitted, whole, {"primary_metric": "accuracy", "val": reached}).path


def _draw(table: ShotTable) -> None:
    lines: dict[str, list[tuple[int, float, float]]] = {}
    for shots in table.shots:
        for row in table.rows(shots):
            lines.setdefault(row.name, []).append((shots, row.mean, row.deviation))
    facts = table.facts
    title = f"{facts['dataset']} {facts['split']}, {facts['classes']} classes"
    seeds = len(facts["seeds"])
    beneath = f"{facts['features']} of {facts['encoder']}; mean and deviation over {seeds} seeds"
    if len(table.shots) == 1:
        title += f", {table.shots[0]} shots"
    draw_shots_curve(title, beneath, lines, table.chosen, table.curve)
