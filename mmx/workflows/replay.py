"""Run a run again from its record, and compare the two: weights bit for bit, the log, the numbers on val."""

import dataclasses
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mmx.core.device import find_device
from mmx.core.discover import find_classifiers
from mmx.core.errors import ArtifactError, Interrupted, UsageError
from mmx.core.home import Home, first_free
from mmx.core.reporter import Reporter
from mmx.core.settings import names
from mmx.store.atomic import check_writable
from mmx.store.manifest import Manifest
from mmx.store.run import RunFolder, check_free, find_run
from mmx.workflows.circumstances import circumstances, threads_of, unfinished_at, unrecorded, what_changed
from mmx.workflows.contenders import Contender
from mmx.workflows.fewshot import compare
from mmx.workflows.fewshot_settings import FewshotSettings, asked_again
from mmx.workflows.head_run import is_head
from mmx.workflows.same_result import Part, compare_logs, compare_metrics, compare_shown, compare_weights
from mmx.workflows.train import train
from mmx.workflows.train_settings import TrainSettings

SCHEMA = "mmx.replay/1"


@dataclass(frozen=True)
class ReplaySettings:
    """Which run, and where to."""

    home: Home
    run: Path
    out: Path | None = None
    """Folder of the second run; else a new one beside the first. A replay of this run that was stopped in it
    goes on.
    """
    device: str | None = None
    """None for that of the run."""
    workers: int | None = None
    argv: tuple[str, ...] = ()


@dataclass(frozen=True)
class Replayed:
    """What came of it."""

    run: str
    replay: str
    parts: tuple[Part, ...]
    changed: Mapping[str, tuple[list[Any], Any]]
    """What is not as it was when the run was trained: name -> what it was, what it is."""
    unrecorded: tuple[str, ...]
    """What the run's record does not say, since an older mmx wrote it."""
    seconds: float

    @property
    def equal(self) -> bool:
        """Whether everything is as it was, bit for bit."""
        return all(part.equal for part in self.parts)

    def document(self) -> dict[str, Any]:
        """All of it as plain data, for JSON."""
        return {
            "schema": SCHEMA,
            "equal": self.equal,
            "run": self.run,
            "replay": self.replay,
            "parts": [dataclasses.asdict(part) for part in self.parts],
            "changed": {name: {"was": was, "is": now} for name, (was, now) in self.changed.items()},
            "unrecorded": list(self.unrecorded),
            "seconds": round(self.seconds, 3),
        }


def replay(settings: ReplaySettings, reporter: Reporter) -> Replayed:
    """Train once more with the settings, seed, device and threads of a run, over the same data, and compare.

    Raises:
        UsageError: when the folder for it holds something else.
        ArtifactError: when the run is not whole, or its data, encoders, start or code are not there as they
            were: nothing is trained then.
        DeviceError: when the run's device is not there.
        ResourceError: when the folder cannot be written.
        TrainingError, Interrupted: see `engine.trainer.train`.
    """
    began = time.perf_counter()
    run = find_run(settings.run, settings.home.runs)
    device = find_device(settings.device or str(run.facts.get("device", "cpu")))
    _check_whole(run)
    whole = run.path.absolute()
    out = settings.out or first_free(whole.with_name(f"{whole.name}-replay"))
    with _threads(threads_of(run)):
        now = circumstances(device)
        changed, lacking = what_changed(run, now), unrecorded(run, now)
        for name, (was, value) in changed.items():
            reporter.info(f"{name} was {', '.join(map(str, was))} and is {value}")
        if is_head(run):
            _fit_again(run, out, settings, device, reporter)
            second = RunFolder.open(out)
            parts = [compare_shown(run, second), compare_weights(run, second), compare_metrics(run, second)]
        else:
            _train_again(run, out, settings, device, reporter)
            second = RunFolder.open(out)
            parts = [compare_weights(run, second), compare_logs(run, second), compare_metrics(run, second)]
    seconds = time.perf_counter() - began
    return Replayed(str(run.path), str(out), tuple(parts), changed, tuple(lacking), seconds)


def _check_whole(run: RunFolder) -> None:
    """A run that was stopped or broke has no end to compare with.

    Raises:
        ArtifactError: when it is not trained to its end, or this mmx has its method or settings no longer.
    """
    run.need_weights()
    if is_head(run):
        return
    step = unfinished_at(run)
    if step is not None:
        raise ArtifactError(
            f"'{run.path}' is not trained to its end: it stands at step {step}. Go on with it first: "
            f"mmx train --resume {run.path}"
        )


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """As many threads as a run had, since the order of a sum hangs on them."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _train_again(
    run: RunFolder, out: Path, settings: ReplaySettings, device: torch.device, reporter: Reporter
) -> None:
    asked = TrainSettings(device=str(device), workers=settings.workers, home=settings.home.root)
    if not (out / "settings.json").is_file():
        asked = dataclasses.replace(asked, again=run.path, out=out, argv=settings.argv)
    elif (RunFolder.open(out).facts.get("replay_of") or {}).get("fingerprint") == run.fingerprint:
        asked = dataclasses.replace(asked, resume=out)
    else:
        raise UsageError(f"'{out}' holds another run, no replay of '{run.path}'. Choose another --out.")
    try:
        train(asked, reporter)
    except Interrupted as error:
        raise Interrupted(
            f"stopped; everything is saved. Go on with: mmx replay {run.path} --out {out}"
        ) from error


def _fit_again(
    run: RunFolder, out: Path, settings: ReplaySettings, device: torch.device, reporter: Reporter
) -> None:
    """The classifier that was kept, on the shots that it was shown; its rivals are left out."""
    facts = run.facts
    if "asked" not in facts:
        typed = " ".join(facts.get("argv", ()))
        raise ArtifactError(
            f"'{run.path}' was kept by an mmx that did not write down what its classifier was shown. Make it "
            f"again with another --out: {typed or 'mmx fewshot ' + facts['dataset']}"
        )
    check_free(out)
    check_writable(out.parent)
    manifest = Manifest.open(settings.home.dataset(facts["dataset"]))
    if manifest.fingerprint != facts["manifest_fingerprint"]:
        raise ArtifactError(
            f"'{run.path}' learned from '{manifest.name}' with fingerprint "
            f"'{facts['manifest_fingerprint']}'; it has been prepared anew since, as "
            f"'{manifest.fingerprint}'. Bring that state back."
        )
    name, classifier = facts["method"], find_classifiers().get(facts["method"])
    values = facts["settings"]
    if classifier is None or not set(values) <= set(names(classifier.settings)):
        raise ArtifactError(
            f"'{run.path}' was made by '{name}' as this mmx does not have it. Use the mmx that made it."
        )
    asked = FewshotSettings(
        dataset=facts["dataset"],
        shots=(values["shots"],),
        seeds=(facts["seed"],),
        out=out,
        device=str(device),
        home=settings.home,
        argv=settings.argv,
        **asked_again(facts["asked"]),
    )
    compare(asked, [Contender(name, name, classifier, values, "run")], reporter)
