"""Few-shot features made elsewhere: a folder of vectors and labels, with no pictures and no names.

A `.pt` file is read with torch's weights-only loader: nothing in it is run.
Shapes: N rows, F feature width, C classes.
"""

import json
import pickle
from pathlib import Path

import numpy
import torch
from torch import Tensor

from mmx.core.errors import DataError, first_line
from mmx.store.foreign import read_npy
from mmx.store.shot_files import ShotFile

CLASS_FILE = "class_names.json"


def read_shots(file: ShotFile) -> tuple[Tensor, Tensor]:
    """Vectors [N, F] float32 and labels [N] int64.

    Raises:
        DataError: when a file is broken or holds something else, a vector is not a number, or there are not
            as many vectors as labels.
    """
    features, labels = _read(file.features), _read(file.labels)
    if file.transposed:
        features, labels = features.T, labels.argmax(1) if labels.dim() == 2 else labels
    if features.dim() != 2 or not features.is_floating_point() or labels.dim() != 1:
        raise DataError(
            f"'{file.features}' holds {list(features.shape)} and '{file.labels.name}' {list(labels.shape)}. "
            "They are to be vectors [N, F] of float numbers and labels [N]."
        )
    if len(features) != len(labels):
        raise DataError(
            f"'{file.features}' holds {len(features)} vectors, but '{file.labels.name}' holds "
            f"{len(labels)} labels. Take both from the same making."
        )
    features, labels = features.float(), labels.long()
    broken = (~features.isfinite().all(1)).nonzero().flatten()
    if len(broken) or (len(labels) and int(labels.min()) < 0):
        row = int(broken[0]) if len(broken) else int(labels.argmin())
        what = "is not a number" if len(broken) else "has a negative label"
        raise DataError(f"row {row} of '{file.features}' {what}. Make the file again.")
    return features, labels


def read_class_names(folder: Path, classes: int) -> tuple[tuple[str, ...], str]:
    """The names of a folder's classes, and a remark where there are none to be had.

    Raises:
        DataError: when the file is broken, names too few classes, or has an empty name.
    """
    path = folder / CLASS_FILE
    if not path.is_file():
        numbered = tuple(f"class {label}" for label in range(classes))
        return numbered, f"there is no '{CLASS_FILE}': classes are called by their numbers"
    try:
        names = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"'{path}' cannot be read ({error}). Write a JSON list of names.") from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DataError(f"'{path}' is not a JSON list of names. Write the name of label 0 first.")
    if len(names) < classes:
        raise DataError(f"'{path}' has {len(names)} names, but labels go up to {classes - 1}. Add the rest.")
    empty = next((label for label, name in enumerate(names) if not name.strip()), None)
    if empty is not None:
        raise DataError(f"'{path}': the name of class {empty} is empty. Give it one.")
    return tuple(name.strip() for name in names), ""


def _read(path: Path) -> Tensor:
    if path.suffix == ".npy":
        array = read_npy(path)
        if array.dtype.kind not in "fiu":
            raise DataError(f"'{path}' holds numbers of type '{array.dtype}'. Save them as float or int.")
        return torch.from_numpy(numpy.array(array, dtype=array.dtype.newbyteorder("=")))
    try:
        read = torch.load(path, weights_only=True, map_location="cpu")
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, OSError) as error:
        raise DataError(
            f"'{path}' is not a plain tensor ({first_line(error)}). Nothing of it was run; save the tensor "
            "alone."
        ) from error
    if not isinstance(read, Tensor) or read.layout is not torch.strided:
        raise DataError(
            f"'{path}' holds '{type(read).__name__}', not one dense tensor. Save the tensor alone."
        )
    return read.detach()
