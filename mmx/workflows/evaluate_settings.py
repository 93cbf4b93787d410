"""What `mmx evaluate` was asked for, and what is refused before any work."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from mmx.core.device import find_device
from mmx.core.errors import ArtifactError, UsageError
from mmx.core.home import Home
from mmx.core.names import canonical
from mmx.core.present import present
from mmx.core.record import have_identities
from mmx.core.reporter import Reporter
from mmx.core.task import Retrieval
from mmx.store.manifest import Manifest
from mmx.store.run import RunFolder
from mmx.workflows.opened_run import method_of
from mmx.workflows.stage_rows import VAL, parse_top


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
    k_reciprocal: bool = False
    """Add a row of the nearest ranked again by the neighbours that images share; of data with identities."""
    complete_labels: bool = False
    """Add a row with the captions' labels completed by those of the split's captions near them."""
    gallery: Path | None = None
    """Where an HTML file of queries and what is ranked for them goes, right and wrong framed."""
    gallery_queries: int = 24
    faithfulness: int = 0
    """Of how many captions, with their own pictures, it is measured whether the regions with most weight
    matter."""
    samples: int = 0
    """Of a run on posts: how many of them what it makes up is drawn of."""
    device: str = "auto"
    batch_size: int = 256
    seed: int = 0
    """Of the bootstrap and of the permutations."""
    argv: Sequence[str] = ()


def checked(settings: EvaluateSettings) -> torch.device:
    """The device, once what can be known to be wrong by the words alone is refused.

    Raises:
        UsageError: when they do not fit together.
        DeviceError: when the device is not there.
    """
    if settings.run is not None and settings.model is not None:
        raise UsageError(
            f"'{settings.run}' and --model '{settings.model}' were both given. Name one of them."
        )
    if settings.model is not None and settings.dataset is None:
        raise UsageError(
            f"--model '{settings.model}' needs to know on what. Add --dataset NAME; see: mmx datasets"
        )
    for name, least in (
        ("batch_size", 1),
        ("worst", 0),
        ("faithfulness", 0),
        ("seed", 0),
        ("gallery_queries", 1),
    ):
        if getattr(settings, name) < least:
            raise UsageError(
                f"{name}={getattr(settings, name)} is out of bounds. It must be at least {least}."
            )
    return find_device(settings.device)


def dataset_of(settings: EvaluateSettings, folder: RunFolder | None) -> str:
    """The dataset to evaluate on, as its folder is called."""
    return present(folder).facts["dataset"] if settings.dataset is None else canonical(settings.dataset)


def refuse_ranking(settings: EvaluateSettings, labels: str) -> None:
    """A run that labels ranks nothing; `labels` says what.

    Raises:
        UsageError: when something was asked for that only rankings have.
    """
    asked = {
        "--worst": settings.worst,
        "--rerank-top": settings.rerank_top is not None,
        "--tune-weight": settings.tune_weight,
        "--k-reciprocal": settings.k_reciprocal,
        "--transductive-label-completion": settings.complete_labels,
        "--gallery": settings.gallery is not None,
        "--faithfulness": settings.faithfulness,
    }
    given = [option for option, value in asked.items() if value]
    if given:
        raise UsageError(f"'{settings.run}' labels {labels} and ranks nothing: leave out {', '.join(given)}.")


def warn_of_other_state(run: RunFolder, manifest: Manifest, reporter: Reporter) -> None:
    """Say so when a run learned from another state of the dataset that it is measured on."""
    trained_on, fingerprint = run.facts["dataset"], run.facts["manifest_fingerprint"]
    if trained_on == manifest.name and fingerprint != manifest.fingerprint:
        reporter.warn(
            f"'{run.path}' was trained on another state of '{manifest.name}' ('{fingerprint}', now "
            f"'{manifest.fingerprint}'): what is held out now may have been trained on."
        )


def check_stages(settings: EvaluateSettings, folder: RunFolder | None, manifest: Manifest) -> None:
    """Find out before any work whether what is wished of a second stage and of identities can be had."""
    if settings.k_reciprocal and not have_identities(manifest.split(settings.split)):
        raise UsageError(
            f"'{manifest.name}' {settings.split} has no identities, so that no two images share one. "
            "Leave out --k-reciprocal."
        )
    if settings.complete_labels and folder is None:
        raise UsageError(
            f"'{settings.model}' does not ask what a caption names: there is nothing to complete. "
            "Leave out --transductive-label-completion."
        )
    top = parse_top(settings.rerank_top)
    wishes = [f"--rerank-top {top}"] if settings.rerank_top is not None and top != 0 else []
    wishes += ["--tune-weight"] if settings.tune_weight else []
    if not wishes:
        return
    if folder is None or not _looks_twice(folder):
        named = settings.model or present(folder).path
        raise UsageError(f"'{named}' has no second stage. Leave out {' and '.join(wishes)}.")
    if settings.tune_weight:
        if top == 0:
            raise UsageError("--rerank-top 0 leaves out what --tune-weight tunes. Leave out one of them.")
        manifest.split(VAL)


def _looks_twice(folder: RunFolder) -> bool:
    method, values = method_of(folder)
    tasks = method.with_task(values, folder.assets()).tasks
    return any(isinstance(task, Retrieval) and task.rerank is not None for task in tasks)


def check_comparable(
    settings: EvaluateSettings,
    folder: RunFolder | None,
    other: RunFolder | None,
    manifest: Manifest,
    reporter: Reporter,
) -> None:
    """Two runs are compared on queries that are theirs, unless a dataset is named for both."""
    for run in (run for run in (folder, other) if run is not None):
        warn_of_other_state(run, manifest, reporter)
    if other is None:
        return
    if folder is not None and folder.path.resolve() == other.path.resolve():
        raise UsageError(f"'{other.path}' would be compared with itself. Name another run: mmx runs")
    if settings.dataset is None:
        check_same_data(present(folder), other)


def check_same_data(one: RunFolder, other: RunFolder) -> None:
    """Runs of different data are compared on a dataset that is named for both alone.

    Raises:
        ArtifactError: when they are of different data.
    """
    facts, theirs = one.facts, other.facts
    if facts["manifest_fingerprint"] != theirs["manifest_fingerprint"]:
        raise ArtifactError(
            f"'{one.path}' and '{other.path}' have different queries: '{facts['dataset']}' with "
            f"manifest '{facts['manifest_fingerprint']}', and '{theirs['dataset']}' with "
            f"manifest '{theirs['manifest_fingerprint']}'. Name one dataset for both: --dataset NAME"
        )
