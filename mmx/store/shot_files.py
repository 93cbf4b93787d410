"""Few-shot features made elsewhere: which files of a folder are theirs. `store.foreign_shots` reads them.

Two forms are known:

    train_<n>shot_features.npy, train_<n>shot_labels.npy, val_features.npy, val_labels.npy, test_...
    keys_<n>shots.pt [F, N] and values_<n>shots.pt [N, C] one-hot, val_f.pt, val_l.pt, test_... (Tip-Adapter)

Either may have `.npy` or `.pt`. Shapes: N rows, F feature width, C classes.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mmx.core.errors import DataError
from mmx.core.record import SPLITS

SUFFIXES = (".npy", ".pt")
PLAIN = re.compile(r"(?:train_(?P<shots>\d+)shots?|(?P<split>train|val|test))_features")
CACHED = re.compile(r"keys_(?P<shots>\d+)shots?|(?P<split>val|test)_f")


@dataclass(frozen=True)
class ShotFile:
    """One array of vectors and the array that labels its rows."""

    split: str
    shots: int | None
    """How many of each class were drawn; None for a whole split."""
    features: Path
    labels: Path
    transposed: bool
    """Vectors are columns, and labels one-hot rows."""

    @property
    def name(self) -> str:
        """What its rows are named after."""
        return self.split if self.shots is None else f"{self.split}_{self.shots}shot"


def find_shot_files(folder: Path) -> list[ShotFile]:
    """The arrays of a folder: train by rising shots, then val and test; none where it is in no known form.

    Raises:
        DataError: when vectors have no labels beside them.
    """
    found = [file for path in sorted(folder.iterdir()) if (file := _shot_file(path)) is not None]
    return sorted(found, key=lambda file: (SPLITS.index(file.split), file.shots or 0))


def is_shot_folder(folder: Path) -> bool:
    """Whether a folder holds few-shot features in a form that is known."""
    return any(_matched(path) is not None for path in folder.iterdir())


def _matched(path: Path) -> tuple[re.Match[str], bool] | None:
    """How the name of a file of vectors reads, and whether they are columns."""
    if path.suffix not in SUFFIXES:
        return None
    for pattern, cached in ((PLAIN, False), (CACHED, True)):
        found = pattern.fullmatch(path.stem)
        if found is not None:
            return found, cached and found["shots"] is not None
    return None


def _shot_file(path: Path) -> ShotFile | None:
    matched = _matched(path)
    if matched is None:
        return None
    found, transposed = matched
    labels = next((place for place in _labels_of(path) if place.is_file()), None)
    if labels is None:
        raise DataError(
            f"'{path}' has no labels: there is no '{next(_labels_of(path)).name}' beside it. Put it there."
        )
    shots = None if found["shots"] is None else int(found["shots"])
    return ShotFile(found["split"] or "train", shots, path, labels, transposed)


def _labels_of(path: Path) -> Iterator[Path]:
    """Where the labels of a file of vectors may lie."""
    stem = path.stem.replace("features", "labels").replace("keys", "values")
    stem = re.sub("_f$", "_l", stem)
    yield from (path.with_name(f"{stem}{suffix}") for suffix in (path.suffix, *SUFFIXES))
