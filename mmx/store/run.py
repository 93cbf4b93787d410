"""A run: the folder that one training fills, from its settings to its best weights.

assets.json         what was counted before training, with assets.safetensors; absent where nothing was
settings.json       what was asked for, and on what; a folder with it is a run
model.safetensors   the best weights on val
metrics.json        what they reach on val
log.jsonl           one line every few steps and one an epoch
state/<n>/          what training needs to go on; the highest n counts
diverged.json       the batch at which the loss stopped being a number, if it did
lock                held by the process that trains
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from mmx.core.assets import NO_ASSETS, Assets
from mmx.core.errors import ArtifactError, UsageError
from mmx.store.assets import assets_fingerprint, load_assets, save_assets
from mmx.store.atomic import TEMPORARY_PREFIX, atomic_folder, disk_errors, remove_leftovers, write_json
from mmx.store.checkpoint import load_part, load_weights, read_weights, save_weights
from mmx.store.lock import exclusive
from mmx.store.provenance import commit, versions

FORMAT = "mmx.run"
VERSION = 1
NEEDED = ("method", "dataset", "manifest_fingerprint", "settings", "towers", "tasks", "seed", "created")


class RunFolder:
    """The folder of one run. `facts` is what settings.json holds, `path` where the run lies."""

    def __init__(self, path: Path, facts: Mapping[str, Any]) -> None:
        self.path, self.facts = path, dict(facts)

    @classmethod
    def create(cls, path: Path, facts: Mapping[str, Any], assets: Assets = NO_ASSETS) -> "RunFolder":
        """Begin a run; the assets' fingerprint, versions, commit and time of day are added to the facts.

        Raises:
            UsageError: when the folder already holds something.
            ResourceError: when it cannot be written.
        """
        check_free(path)
        whole = {
            "format": FORMAT,
            "version": VERSION,
            **facts,
            "assets": assets_fingerprint(assets),
            "versions": versions(),
            "commit": commit(),
            "created": datetime.now(UTC).isoformat(),
        }
        with disk_errors(path):
            path.mkdir(parents=True, exist_ok=True)
        save_assets(path, assets)
        write_json(path / "settings.json", whole)
        return cls(path, whole)

    @classmethod
    def open(cls, path: Path) -> "RunFolder":
        """A run that exists.

        Raises:
            ArtifactError: when there is none, or it was written by another version.
        """
        if not (path / "settings.json").is_file():
            raise ArtifactError(f"there is no run at '{path}'. See what there is: mmx runs")
        facts = _read_json(path / "settings.json")
        if (facts.get("format"), facts.get("version")) != (FORMAT, VERSION):
            raise ArtifactError(
                f"'{path}/settings.json' is of format '{facts.get('format')}', version "
                f"'{facts.get('version')}'; this mmx reads '{FORMAT}', version {VERSION}. "
                "Train again, or use the mmx that wrote it."
            )
        missing = [name for name in NEEDED if name not in facts]
        if missing:
            raise ArtifactError(f"'{path}/settings.json' lacks {', '.join(missing)}. Train again.")
        return cls(path, facts)

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.path.name

    @property
    def weights(self) -> Path:
        """Where the best weights are."""
        return self.path / "model.safetensors"

    @property
    def log(self) -> Path:
        """Where the course of training is written down."""
        return self.path / "log.jsonl"

    @property
    def fingerprint(self) -> str:
        """Changes with the best weights, the method, its settings or its towers.

        Raises:
            ArtifactError: when there are no weights yet.
        """
        self._need_weights()
        digest = hashlib.sha256()
        facts = {name: self.facts.get(name) for name in ("method", "settings", "towers", "assets")}
        digest.update(json.dumps(facts, sort_keys=True).encode())
        with self.weights.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()[:16]

    def assets(self) -> Assets:
        """What was counted before this run's training.

        Raises:
            ArtifactError: when it is absent, broken or changed.
        """
        return load_assets(self.path, self.facts.get("assets", ""))

    def write_best(self, model: nn.Module, metrics: Mapping[str, Any]) -> None:
        """Keep the model's weights, and then what they reach; evaluations that were recorded stay.

        Raises:
            ResourceError: when the disk is full; the weights kept before stay as they were.
        """
        self.write_weights(model.state_dict(), metrics)

    def write_weights(self, tensors: Mapping[str, Tensor], metrics: Mapping[str, Any]) -> None:
        """Keep named tensors as the weights, and then what they reach; recorded evaluations stay.

        Raises:
            ResourceError: when the disk is full; the weights kept before stay as they were.
        """
        recorded = {name: value for name, value in self.metrics().items() if name == "evaluations"}
        save_weights(self.weights, tensors, {"method": self.facts["method"]})
        write_json(self.path / "metrics.json", {**metrics, **recorded})

    def read_weights(self) -> dict[str, Tensor]:
        """The weights by name.

        Raises:
            ArtifactError: when there are none, or they are broken.
        """
        self._need_weights()
        return read_weights(self.weights)

    def load_weights(self, model: nn.Module) -> None:
        """Fill a model with the best weights.

        Raises:
            ArtifactError: when there are none, they are broken, or they are not this model's.
        """
        self._need_weights()
        load_weights(self.weights, model)

    def load_start(self, model: nn.Module) -> None:
        """Fill what this run has weights for in a model that may have more, as the start of another training.

        Raises:
            ArtifactError: when there are none, they are broken, or the model has no place for one.
        """
        self._need_weights()
        load_part(self.weights, model)

    def metrics(self) -> dict[str, Any]:
        """What metrics.json holds: `val` and where it was reached; empty when nothing was kept yet."""
        path = self.path / "metrics.json"
        return _read_json(path) if path.is_file() else {}

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Be the only process that writes this run; what killed writers left behind is removed.

        Raises:
            ArtifactError: when another process trains it.
        """
        with ExitStack() as held:
            with disk_errors(self.path):
                file = held.enter_context((self.path / "lock").open("a"))
                try:
                    held.enter_context(exclusive(file))
                except BlockingIOError:
                    holder = (self.path / "lock").read_text().strip() or "unknown"
                    raise ArtifactError(
                        f"'{self.path}' is in use by another process ({holder}). "
                        "Wait until it ends, or take another run."
                    ) from None
                file.truncate(0)
                file.write(str(os.getpid()))
                file.flush()
                remove_leftovers(self.path)
                remove_leftovers(self.path / "state")
            yield

    def append_log(self, line: Mapping[str, Any]) -> None:
        """Add a line to the log."""
        with disk_errors(self.log), self.log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def save_state(self, position: Mapping[str, Any], tensors: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Write what training needs to go on, as one folder; the state before it goes when this one is whole.

        Raises:
            ResourceError: when the disk is full; the state before it stays as it was.
        """
        before = self._states()
        number = int(before[-1].name) + 1 if before else 1
        log_bytes = self._flush_log()
        with atomic_folder(self.path / "state" / f"{number:06d}") as folder:
            for name, group in tensors.items():
                save_weights(folder / f"{name}.safetensors", group)
            write_json(folder / "state.json", {**position, "version": VERSION, "log_bytes": log_bytes})
        for old in before:
            shutil.rmtree(old, ignore_errors=True)

    def load_state(self) -> "tuple[dict[str, Any], Path] | None":
        """Where training was, and the folder with its tensors; None when nothing was saved.

        Raises:
            ArtifactError: when the state is broken or of another version.
        """
        states = self._states()
        if not states:
            return None
        position = _read_json(states[-1] / "state.json")
        if position.get("version") != VERSION:
            raise ArtifactError(
                f"'{states[-1]}' is of version '{position.get('version')}', not {VERSION}. Train again."
            )
        return position, states[-1]

    def cut_log(self, log_bytes: int) -> None:
        """Drop the lines that were written after the state was saved: their steps are done again.

        Raises:
            ArtifactError: when the log is shorter than the state says.
        """
        there = self.log.stat().st_size if self.log.is_file() else 0
        if there < log_bytes:
            raise ArtifactError(
                f"'{self.log}' has {there} bytes, but the state was saved after {log_bytes}. Train again."
            )
        if there > log_bytes:
            os.truncate(self.log, log_bytes)

    def _states(self) -> list[Path]:
        folder = self.path / "state"
        return sorted(path for path in folder.iterdir() if path.name.isdigit()) if folder.is_dir() else []

    def _flush_log(self) -> int:
        if not self.log.is_file():
            return 0
        with self.log.open("rb") as file:
            os.fsync(file.fileno())
        return self.log.stat().st_size

    def _need_weights(self) -> None:
        if not self.weights.is_file():
            raise ArtifactError(
                f"'{self.path}' has no weights yet. Go on with: mmx train --resume {self.path}"
            )


def find_run(given: Path, runs: Path) -> RunFolder:
    """The run in a folder, or of that name among the home's runs.

    Raises:
        ArtifactError: when there is none.
    """
    return RunFolder.open(runs / given if not given.exists() and (runs / given).is_dir() else given)


def check_free(path: Path) -> None:
    """Make sure that a run may begin in a folder; what a killed writer left in it does not count.

    Raises:
        UsageError: when it already holds something.
    """
    if path.is_dir() and any(not inner.name.startswith(TEMPORARY_PREFIX) for inner in path.iterdir()):
        raise UsageError(
            f"'{path}' is not empty. Choose another --out, or go on with: mmx train --resume {path}"
        )


def list_runs(folder: Path) -> list[RunFolder]:
    """Every run in a folder, newest first; what is no run, or cannot be read, is passed over."""
    runs = []
    for path in folder.iterdir() if folder.is_dir() else []:
        if (path / "settings.json").is_file():
            try:
                runs.append(RunFolder.open(path))
            except ArtifactError:
                continue
    return sorted(runs, key=lambda run: run.facts["created"], reverse=True)


def newest_run(folder: Path, task: str = "retrieval") -> RunFolder | None:
    """The newest run in a folder that has weights and can do the task; None when there is none."""
    fit = (run for run in list_runs(folder) if run.weights.is_file() and task in run.facts["tasks"])
    return next(fit, None)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"'{path}' cannot be read ({error}). Train again.") from error
    if not isinstance(value, dict):
        raise ArtifactError(f"'{path}' is not a JSON object. Train again.")
    return value
