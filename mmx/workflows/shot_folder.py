"""Few-shot features made elsewhere as a dataset: a record a vector, without a picture."""

from pathlib import Path

from mmx.core.corpus import Reading
from mmx.core.errors import DataError
from mmx.core.record import Record
from mmx.store.foreign_shots import read_class_names, read_shots
from mmx.store.shot_files import find_shot_files

SHOTS = "shots"
"""In a record's `extra`: how many of its class were drawn together with it, where that is published."""


def read_shot_folder(folder: Path) -> Reading:
    """A record for each vector, in the order of the files.

    Raises:
        DataError: when files are broken or do not fit together.
    """
    records, most, widths = [], 0, set()
    for file in find_shot_files(folder):
        features, labels = read_shots(file)
        widths.add(features.shape[1])
        most = max(most, int(labels.max()) + 1 if len(labels) else 0)
        extra = {} if file.shots is None else {SHOTS: file.shots}
        records += [
            Record(shot_id(file.name, row), file.split, None, label=label, extra=extra)
            for row, label in enumerate(labels.tolist())
        ]
    if len(widths) > 1:
        raise DataError(
            f"the vectors in '{folder}' are of widths {sorted(widths)}. Take those of one encoder."
        )
    names, remark = read_class_names(folder, most)
    remarks = [
        "few-shot features without pictures; take them in with: mmx extract NAME --encoder ENCODER --import "
        f"{folder}",
        *([remark] if remark else []),
    ]
    return Reading(records, folder, names, tuple(remarks))


def shot_id(name: str, row: int) -> str:
    """The id of a row of a file."""
    return f"{name}-{row:06d}"
