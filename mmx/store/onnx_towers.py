"""Towers as other programs read them: a folder of ONNX graphs, with all that is needed to feed them.

settings.json          what each side reads and gives, how pictures and words become numbers, and of which run
image.onnx, text.onnx  the graphs; their weights lie beside them in image.onnx.data and text.onnx.data
tokenizer.json         how sentences become token ids, where the run has a text encoder
assets.json            how they become numbers where the run counts words or concepts of its own

It needs no torch to be read.
"""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmx.core.errors import ArtifactError, UsageError
from mmx.store.atomic import TEMPORARY_PREFIX, disk_errors
from mmx.store.kinds import check_kind
from mmx.store.sealed import read_sealed, write_sealed
from mmx.store.sums import file_sha256

FORMAT, VERSION = "mmx.onnx", 1
SETTINGS, TOKENIZER = "settings.json", "tokenizer.json"
FOLDER = "onnx"
"""Beside the weights of a run."""
NEEDED = ("fingerprint", "run", "image", "text", "files")


@dataclass(frozen=True)
class OnnxTowers:
    """A folder of exported towers. `facts` is what settings.json holds."""

    path: Path
    facts: Mapping[str, Any]

    @classmethod
    def open(cls, path: Path) -> "OnnxTowers":
        """What was exported to a folder, each file of the length that it was written with.

        Raises:
            ArtifactError: when there is nothing, or it is broken or of another version.
        """
        again = "Export again: mmx export RUN --onnx"
        try:
            facts = read_sealed(path / SETTINGS, again)
        except FileNotFoundError:
            raise ArtifactError(f"'{path}' holds no exported towers. {again}") from None
        check_kind(path / SETTINGS, facts, FORMAT, VERSION, again, NEEDED)
        for name, about in facts["files"].items():
            if not (path / name).is_file() or (path / name).stat().st_size != about["bytes"]:
                raise ArtifactError(f"'{path / name}' is not the file that was written. {again}")
        return cls(path, facts)

    @property
    def fingerprint(self) -> str:
        """Of the weights of the run that was exported."""
        return self.facts["fingerprint"]

    @property
    def int8(self) -> Mapping[str, Any] | None:
        """What its weights lose of recall by being in int8; None where they are in float."""
        return self.facts.get("int8")

    @property
    def bytes(self) -> int:
        """Of all files."""
        return sum(about["bytes"] for about in self.facts["files"].values())


@contextmanager
def new_towers(path: Path) -> Iterator[Path]:
    """Yield an empty folder to fill; it then takes the place of what was exported to `path` before.

    Raises:
        UsageError: when the folder holds something else.
        ResourceError: when it cannot be written.
    """
    check_replaceable(path)
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        place = Path(tempfile.mkdtemp(dir=path.parent, prefix=TEMPORARY_PREFIX))
        try:
            fresh = place / path.name
            fresh.mkdir()
            yield fresh
            if path.is_dir():
                path.rename(place / "before")
            fresh.rename(path)
        finally:
            shutil.rmtree(place, ignore_errors=True)


def check_replaceable(path: Path) -> None:
    """Make sure that towers may be written to a folder.

    Raises:
        UsageError: when it holds something that is no export.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        try:
            OnnxTowers.open(path)
        except ArtifactError:
            if not path.is_dir() or not (path / SETTINGS).is_file() or not list(path.glob("*.onnx")):
                raise UsageError(
                    f"'{path}' holds something else than exported towers. Choose another --out."
                ) from None


def write_facts(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write settings.json last, with the length and digest of every file that is there."""
    files = {
        path.name: {"bytes": path.stat().st_size, "sha256": file_sha256(path)}
        for path in sorted(folder.iterdir())
    }
    write_sealed(folder / SETTINGS, {"format": FORMAT, "version": VERSION, **facts, "files": files})
