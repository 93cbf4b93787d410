"""Which pictures are shown: shots of each class drawn by a seed, or taken from where they were published."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmx.core.errors import DataError
from mmx.core.present import present
from mmx.core.record import Record
from mmx.core.seeded_split import seeded_order
from mmx.store.manifest import Manifest
from mmx.workflows.shot_folder import SHOTS

MOST_VAL = 4
"""Validation shots a class, or as many as are trained on, where that is less."""

Place = tuple[str, int]
"""A split, and the row in it."""


@dataclass(frozen=True)
class Drawn:
    """The pictures of one episode."""

    train: tuple[Place, ...]
    val: tuple[Place, ...]
    source: str
    """How they were come by, in a few words."""
    short: Mapping[str, int]
    """Classes with fewer training pictures than shots, and how many they have."""
    short_val: int
    """How many classes have fewer validation shots than min(shots, 4)."""
    without_val: tuple[str, ...] = ()
    """Names of the classes that have none."""


@dataclass(frozen=True)
class ShotSource:
    """Where shots come from: the labelled records of a dataset, and perhaps files that say which."""

    manifest: Manifest
    labels: Mapping[int, int]
    """Label in the manifest -> class of the episode; others are left out."""
    class_names: tuple[str, ...]
    """Of the episode's classes."""
    index: Path | None = None
    """A published index, or a folder of `shot_<n>-seed_<s>.json`."""

    def draw(self, shots: int, seed: int) -> Drawn:
        """So many of each class to learn from, and min(shots, 4) to choose on.

        A class with fewer gives all that it has.

        Raises:
            DataError: when a class has no training picture, or an index does not fit the dataset.
        """
        if self.index is not None:
            return self._checked(*self._indexed(shots, seed), shots)
        val = self._of_split("val", min(shots, MOST_VAL), seed)
        published = [
            row for row, record in enumerate(self.manifest.split("train")) if record.extra.get(SHOTS) == shots
        ]
        if published:
            train = [("train", row) for row in published if self._class(("train", row)) is not None]
            return self._checked(train, val, "train as published, val by seed", shots)
        train = self._of_split("train", shots, seed)
        return self._checked(train, val, "by seed", shots)

    def places(self, split: str) -> list[Place]:
        """Every picture of a split that is of one of the classes.

        Raises:
            UsageError: when there is no such split.
        """
        rows = range(len(self.manifest.split(split)))
        return [(split, row) for row in rows if self._class((split, row)) is not None]

    def classes(self, places: Sequence[Place]) -> list[int]:
        """The class of each."""
        found = [self._class(place) for place in places]
        return [label for label in found if label is not None]

    def _record(self, place: Place) -> Record:
        split, row = place
        return self.manifest.split(split)[row]

    def _class(self, place: Place) -> int | None:
        label = self._record(place).label
        return None if label is None else self.labels.get(label)

    def _of_split(self, split: str, count: int, seed: int) -> list[Place]:
        """So many of each class, by a seeded order of their ids: fewer shots are among more."""
        if split not in self.manifest.splits:
            return []
        records = self.manifest.split(split)
        by_class: dict[int, dict[str, int]] = {}
        for row, record in enumerate(records):
            label = self._class((split, row))
            # vectors published for other numbers of shots are no pool to draw from
            if label is not None and (split != "train" or SHOTS not in record.extra):
                by_class.setdefault(label, {})[record.id] = row
        drawn = []
        for label in sorted(by_class):
            rows = by_class[label]
            drawn += [(split, rows[name]) for name in seeded_order(rows, seed)[:count]]
        return drawn

    def _checked(self, train: Sequence[Place], val: Sequence[Place], source: str, shots: int) -> Drawn:
        shown = Counter(self.classes(train))
        counts = {label: shown[label] for label in range(len(self.class_names))}
        absent = [self.class_names[label] for label, count in counts.items() if not count]
        published = sorted({
            record.extra[SHOTS] for record in self.manifest.split("train") if SHOTS in record.extra
        })  # fmt: skip
        if absent and published:
            raise DataError(
                f"'{self.manifest.name}' has no features of {shots} shots. It has those of "
                f"{', '.join(map(str, published))}: --shots {published[-1]}"
            )
        if absent:
            raise DataError(
                f"class '{absent[0]}' of '{self.manifest.name}' has no picture to learn from "
                f"({len(absent)} of {len(counts)} classes have none in train). Add some, or leave the class "
                "out and prepare again."
            )
        short = {self.class_names[label]: count for label, count in counts.items() if count < shots}
        seen = Counter(self.classes(val))
        short_val = sum(seen[label] < min(shots, MOST_VAL) for label in counts)
        without_val = tuple(self.class_names[label] for label in counts if not seen[label])
        return Drawn(tuple(train), tuple(val), source, short, short_val, without_val)

    def _indexed(self, shots: int, seed: int) -> tuple[list[Place], list[Place], str]:
        path = present(self.index)
        if path.is_dir():
            name = f"shot_{shots}-seed_{seed}.json"
            places = (
                path / name,
                path / self.manifest.name / name,
                path / self.manifest.name.replace("-", "_") / name,
            )
            path = next((place for place in places if place.is_file()), places[0])
        said = _read_index(path)
        known = {
            record.image: (split, row)
            for split in ("train", "val")
            if split in self.manifest.splits
            for row, record in enumerate(self.manifest.split(split))
            if record.image is not None
        }
        found = {part: [self._named(entry, known, path) for entry in said[part]] for part in ("train", "val")}
        kept = {
            part: [place for place in places if self._class(place) is not None]
            for part, places in found.items()
        }
        return kept["train"], kept["val"], f"index '{path.name}'"

    def _named(self, entry: Any, known: Mapping[str, Place], path: Path) -> Place:
        """The record that an entry of an index means: its path begins with a foreign folder."""
        image = entry.get("impath") if isinstance(entry, dict) else None
        if not isinstance(image, str):
            raise DataError(f"'{path}' has an entry '{entry}' without impath. Fetch the file again.")
        parts = [part for part in image.replace("\\", "/").split("/") if part not in {"", "."}]
        tails = ("/".join(parts[first:]) for first in range(len(parts)))
        place = next((known[tail] for tail in tails if tail in known), None)
        if place is None:
            raise DataError(
                f"'{path}' names '{image}', which is in neither train nor val of '{self.manifest.name}'. "
                "Prepare the dataset with the same splits."
            )
        if entry.get("label") != self._record(place).label:
            raise DataError(
                f"'{path}' gives '{image}' the label '{entry.get('label')}', and '{self.manifest.name}' has "
                f"'{self._record(place).label}'. Prepare the dataset with the same classes."
            )
        return place


def _read_index(path: Path) -> dict[str, list[Any]]:
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(
            f"there is no index '{path}'. Name a file, or a folder of shot_N-seed_S.json."
        ) from None
    except (OSError, ValueError) as error:
        raise DataError(f"'{path}' cannot be read ({error}). Fetch it again.") from error
    parts = {part: said.get(part) if isinstance(said, dict) else None for part in ("train", "val")}
    found = {part: value.get("data") if isinstance(value, dict) else None for part, value in parts.items()}
    lists = {part: entries for part, entries in found.items() if isinstance(entries, list)}
    if len(lists) < len(found):
        raise DataError(
            f"'{path}' is not an index: it lacks a list in train.data or val.data. Fetch it again."
        )
    return lists
