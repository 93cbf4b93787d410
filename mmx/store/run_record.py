"""What a run says of itself, read without loading any weights; it needs no torch."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from mmx.core.errors import ArtifactError
from mmx.store.atomic import TEMPORARY_PREFIX
from mmx.store.kinds import check_kind
from mmx.store.sealed import read_sealed
from mmx.store.shipped import SHIPPED

FORMAT = "mmx.run"
VERSION = 1
NEEDED = ("method", "dataset", "manifest_fingerprint", "settings", "towers", "tasks", "seed", "created")


class RunRecord:
    """The folder of one run. `facts` is what settings.json holds, `path` where the run lies."""

    def __init__(self, path: Path, facts: Mapping[str, Any]) -> None:
        self.path, self.facts = path, dict(facts)

    @classmethod
    def open(cls, path: Path) -> Self:
        """A run that exists.

        Raises:
            ArtifactError: when there is none, or it was written by another version.
        """
        if not (path / "settings.json").is_file():
            raise ArtifactError(f"there is no run at '{path}'. See what there is: mmx runs")
        facts = read_json(path / "settings.json")
        again = "Train again, or use the mmx that wrote it."
        check_kind(path / "settings.json", facts, FORMAT, VERSION, again, NEEDED)
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
        self.need_weights()
        digest = hashlib.sha256()
        facts = {name: self.facts.get(name) for name in ("method", "settings", "towers", "assets")}
        digest.update(json.dumps(facts, sort_keys=True).encode())
        with self.weights.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()[:16]

    @property
    def stamp(self) -> dict[str, list[int]]:
        """Length and time of change of the files that `fingerprint` reads: while these stay, so does it.

        Raises:
            ArtifactError: when there are no weights yet.
        """
        self.need_weights()
        states = {path.name: path.stat() for path in (self.path / "settings.json", self.weights)}
        return {name: [state.st_size, state.st_mtime_ns] for name, state in states.items()}

    def metrics(self, place: Path | None = None) -> dict[str, Any]:
        """What metrics.json holds: `val` and where it was reached; empty when nothing was kept yet. It lies
        in the run, unless another place is named.

        Raises:
            ArtifactError: when the file is broken, or holds something else.
        """
        path = (place or self.path) / "metrics.json"
        found = read_json(path) if path.is_file() else {}
        if path.is_file() and not found.keys() & {"val", "evaluations"}:
            raise ArtifactError(f"'{path}' holds no metrics. Remove it, and evaluate again.")
        return found

    def need_weights(self) -> None:
        """Make sure that there are weights.

        Raises:
            ArtifactError: when there are none yet.
        """
        if not self.weights.is_file():
            raise ArtifactError(
                f"'{self.path}' has no weights yet. Go on with: mmx train --resume {self.path}"
            )


def run_path(given: Path, runs: Path) -> Path:
    """A folder, or that of this name among the home's runs, or the run of this name that comes with mmx."""
    if given.exists():
        return given
    places = (runs / given, SHIPPED / given)
    return next((place for place in places if (place / "settings.json").is_file()), given)


def list_records(folder: Path) -> list[RunRecord]:
    """Every run in a folder, newest first, those of sweeps and seeds too; what is no run, or cannot be read,
    is passed over.
    """
    return sorted(_records_in(folder), key=lambda run: run.facts["created"], reverse=True)


def _records_in(folder: Path) -> Iterator[RunRecord]:
    for path in folder.iterdir() if folder.is_dir() else []:
        if path.name.startswith(TEMPORARY_PREFIX) or not path.is_dir():
            continue
        if not (path / "settings.json").is_file():
            yield from _records_in(path)
            continue
        try:
            yield RunRecord.open(path)
        except ArtifactError:
            continue


def newest_record(folder: Path, task: str) -> RunRecord | None:
    """The newest run in a folder that has weights and can do the task; None when there is none."""
    fit = (run for run in list_records(folder) if run.weights.is_file() and task in run.facts["tasks"])
    return next(fit, None)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of a run.

    Raises:
        ArtifactError: when it is absent, or cannot be read.
    """
    try:
        return read_sealed(path, "Train again.")
    except FileNotFoundError as error:
        raise ArtifactError(f"'{path}' is not there. Train again.") from error
