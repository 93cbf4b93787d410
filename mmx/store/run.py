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
from mmx.store.atomic import TEMPORARY_PREFIX, atomic_folder, disk_errors, remove_leftovers
from mmx.store.checkpoint import load_part, load_weights, read_weights, save_weights
from mmx.store.hub_runs import fetch_run, is_on_hub
from mmx.store.lock import exclusive
from mmx.store.provenance import commit, machine, versions
from mmx.store.run_record import FORMAT, VERSION, RunRecord, read_json, run_path
from mmx.store.sealed import write_sealed


class RunFolder(RunRecord):
    """The folder of one run, with its weights and its course."""

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
            "machine": machine(),
            "created": datetime.now(UTC).isoformat(),
        }
        with disk_errors(path):
            path.mkdir(parents=True, exist_ok=True)
        save_assets(path, assets)
        write_sealed(path / "settings.json", whole)
        return cls(path, whole)

    def assets(self) -> Assets:
        """What was counted before this run's training.

        Raises:
            ArtifactError: when it is absent, broken or changed.
        """
        return load_assets(self.path, self.facts.get("assets", ""))

    def write_weights(self, tensors: Mapping[str, Tensor], metrics: Mapping[str, Any]) -> None:
        """Keep named tensors as the weights, and then what they reach; recorded evaluations stay.

        Raises:
            ResourceError: when the disk is full; the weights kept before stay as they were.
        """
        recorded = {name: value for name, value in self.metrics().items() if name == "evaluations"}
        save_weights(self.weights, tensors, {"method": self.facts["method"]})
        write_sealed(self.path / "metrics.json", {**metrics, **recorded})

    def read_weights(self) -> dict[str, Tensor]:
        """The weights by name.

        Raises:
            ArtifactError: when there are none, or they are broken.
        """
        self.need_weights()
        return read_weights(self.weights)

    def load_weights(self, model: nn.Module) -> None:
        """Fill a model with the best weights.

        Raises:
            ArtifactError: when there are none, they are broken, or they are not this model's.
        """
        self.need_weights()
        load_weights(self.weights, model)

    def load_start(self, model: nn.Module) -> None:
        """Fill what this run has weights for in a model that may have more, as the start of another training.

        Raises:
            ArtifactError: when there are none, they are broken, or the model has no place for one.
        """
        self.need_weights()
        load_part(self.weights, model)

    @contextmanager
    def locked(self, place: Path | None = None) -> Iterator[None]:
        """Be the only process that writes this run, or what is kept of it at another place; what killed
        writers left behind is removed.

        Raises:
            ArtifactError: when another process trains it.
        """
        with ExitStack() as held:
            place = place or self.path
            with disk_errors(place):
                place.mkdir(parents=True, exist_ok=True)
                file = held.enter_context((place / "lock").open("a"))
                try:
                    held.enter_context(exclusive(file))
                except BlockingIOError:
                    holder = (place / "lock").read_text().strip() or "unknown"
                    raise ArtifactError(
                        f"'{self.path}' is in use by another process ({holder}). "
                        "Wait until it ends, or take another run."
                    ) from None
                file.truncate(0)
                file.write(str(os.getpid()))
                file.flush()
                remove_leftovers(place)
                remove_leftovers(place / "state")
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
            write_sealed(folder / "state.json", {**position, "version": VERSION, "log_bytes": log_bytes})
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
        position = read_json(states[-1] / "state.json")
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


def find_run(given: Path, runs: Path) -> RunFolder:
    """The run in a folder, of that name among the home's runs, or at `hub:OWNER/NAME`.

    Raises:
        ArtifactError: when there is none, or it cannot be had.
    """
    if is_on_hub(given):
        return RunFolder.open(fetch_run(given, runs.parent))
    return RunFolder.open(run_path(given, runs))


def check_free(path: Path) -> None:
    """Make sure that a run may begin in a folder; what a killed writer left in it does not count.

    Raises:
        UsageError: when it already holds something.
    """
    if path.is_dir() and any(not inner.name.startswith(TEMPORARY_PREFIX) for inner in path.iterdir()):
        raise UsageError(
            f"'{path}' is not empty. Choose another --out, or go on with: mmx train --resume {path}"
        )
