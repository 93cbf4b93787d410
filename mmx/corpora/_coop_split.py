"""The splits of CoOp: `split_zhou_<Name>.json`, for each split a list of [path, label, class name]."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmx.core.corpus import Reading
from mmx.core.errors import DataError
from mmx.core.record import SPLITS, Record
from mmx.corpora._raw_folder import find_pictures, read_json

PATTERN = "split_zhou_*.json"


def find_split(raw: Path) -> Path | None:
    """The one split file of a folder; None where there is none."""
    return next(iter(sorted(raw.glob(PATTERN))), None)


def read_split(path: Path, pictures: Sequence[str]) -> Reading:
    """The records of a split file; their pictures lie in a folder of one of the names beside it.

    Raises:
        DataError: when the file is not in this form, a class has no name or two, or a label is left out.
    """
    said, remarks = read_json(path, dict, "an object with train, val and test")
    if not any(split in said for split in SPLITS):
        raise DataError(
            f"'{path}' has no train, val or test. It is to hold lists of [path, label, class name]."
        )
    records: list[Record] = []
    classes: dict[int, str] = {}
    for split in SPLITS:
        for number, row in enumerate(said.get(split, ())):
            place = f"{path.name}: {split}[{number}]"
            image, label, name = _row(place, row)
            if classes.setdefault(label, name) != name:
                raise DataError(
                    f"{place} calls class {label} '{name}', and before it was '{classes[label]}'. Mend it."
                )
            records.append(Record(image, split, image, label=label))
    return Reading(records, find_pictures(path.parent, pictures), class_names(path, classes), tuple(remarks))


def class_names(path: Path, classes: Mapping[int, str]) -> tuple[str, ...]:
    """The names by label, which must run from 0 on without a gap.

    Raises:
        DataError: when a label is left out.
    """
    missing = next((label for label in range(len(classes)) if label not in classes), None)
    if missing is not None:
        raise DataError(
            f"'{path}' has {len(classes)} classes, but none with label {missing}. Number them from 0 on."
        )
    return tuple(classes[label] for label in range(len(classes)))


def _row(place: str, row: Any) -> tuple[str, int, str]:
    shape = isinstance(row, list) and [type(cell) for cell in row] == [str, int, str]
    if not shape or row[1] < 0:
        raise DataError(f"{place} is '{row}', not [path, label from 0 on, class name]. Mend it.")
    if not row[2].strip():
        raise DataError(f"{place}: the name of class {row[1]} is empty. Give it one.")
    return row[0], row[1], row[2].strip()
