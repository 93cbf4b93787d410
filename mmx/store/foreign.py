"""Features made elsewhere: arrays of vectors, and the file that says which row belongs to whom. Nothing in
them is ever run.
"""

import csv
import hashlib
import io
import json
import warnings
from pathlib import Path

import numpy
import torch
from torch import Tensor

from mmx.core.errors import ArtifactError
from mmx.store.tensors import TensorFile

ARRAY_SUFFIXES = (".npy", ".safetensors")
TENSOR_NAMES = {
    "image": ("image_embedding", "image_features", "patch_features", "images", "image"),
    "text": ("text_embedding", "text_features", "texts", "text"),
}
"""Names under which a safetensors file with several tensors may hold the vectors."""
LONGEST_FIELD = 10_000_000

# Arrays are mapped for reading alone: for one that could be written to, the system would set aside memory.
warnings.filterwarnings("ignore", message="The given NumPy array is not writable")


def read_array(path: Path, modality: str) -> Tensor:
    """The vectors of a `.npy` or `.safetensors` file, memory-mapped, in the file's own float type.

    Raises:
        ArtifactError: when the file is absent, broken, holds objects, or does not hold rows of float numbers.
    """
    if not path.is_file():
        raise ArtifactError(f"there is no file '{path}'. Name a {' or '.join(ARRAY_SUFFIXES)} file.")
    if path.suffix not in ARRAY_SUFFIXES:
        raise ArtifactError(
            f"'{path}' is neither {' nor '.join(ARRAY_SUFFIXES)}. Save the vectors as one of them."
        )
    vectors = _read_floats(path) if path.suffix == ".npy" else _read_safetensors(path, modality)
    if not vectors.is_floating_point() or vectors.dim() not in (2, 3) or 0 in vectors.shape:
        raise ArtifactError(
            f"'{path}' holds {vectors.dtype} {list(vectors.shape)}. Vectors are rows [N, F] or [N, P, F] "
            "of float numbers."
        )
    return vectors


def digest_files(paths: list[Path]) -> str:
    """32 hexadecimal digits over the bytes of files, in order."""
    digest = hashlib.blake2b(digest_size=16)
    for path in paths:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "blake2b").digest())
    return digest.hexdigest()


def read_id_table(path: Path) -> dict[str, list[str]]:
    """Column name -> values of a csv file; a txt file (an id a line) and a json list are the one column `id`.

    A json list of objects has their keys as columns.

    Raises:
        ArtifactError: when the file is absent, not UTF-8, broken or empty.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise ArtifactError(
            f"there is no file '{path}'. Name the file that says which row is whose."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ArtifactError(f"'{path}' cannot be read as UTF-8 text ({error}). Save it so.") from error
    table = _json_table(path, text) if path.suffix == ".json" else _plain_table(path, text)
    if not table or not next(iter(table.values())):
        raise ArtifactError(f"'{path}' names no ids. Write one id or file name a row.")
    return table


def read_npy(path: Path) -> numpy.ndarray:
    """The one array of a `.npy` file, memory-mapped.

    Raises:
        ArtifactError: when the file is broken, holds objects, or is an archive.
    """
    try:
        array = numpy.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ArtifactError(
            f"'{path}' is not a plain array ({error}). Save it with numpy.save, without objects."
        ) from error
    if not isinstance(array, numpy.ndarray):
        array.close()
        raise ArtifactError(f"'{path}' is an archive of arrays (.npz). Save the one array with numpy.save.")
    return array


def _read_floats(path: Path) -> Tensor:
    array = read_npy(path)
    if array.dtype.kind != "f" or not array.dtype.isnative or array.dtype.itemsize > 8:
        raise ArtifactError(
            f"'{path}' holds numbers of type '{array.dtype}'. Save them as float32 or float16."
        )
    return torch.from_numpy(array)


def _read_safetensors(path: Path, modality: str) -> Tensor:
    file = TensorFile(path)
    names = (
        file.names
        if len(file.names) == 1
        else [name for name in TENSOR_NAMES[modality] if name in file.names]
    )
    if not names:
        raise ArtifactError(
            f"'{path}' holds {', '.join(sorted(file.names)[:9]) or 'nothing'}; which are the {modality} "
            f"vectors is not clear. Name them '{TENSOR_NAMES[modality][0]}'."
        )
    return file.read(names[0])


def _json_table(path: Path, text: str) -> dict[str, list[str]]:
    try:
        said = json.loads(text)
    except ValueError as error:
        raise ArtifactError(f"'{path}' is not JSON ({error}). Write a list of ids.") from error
    if isinstance(said, list) and said and all(isinstance(row, dict) for row in said):
        shared = [name for name in said[0] if all(isinstance(row.get(name), str | int) for row in said)]
        return {name: [str(row[name]) for row in said] for name in shared}
    if isinstance(said, list) and all(
        isinstance(row, str | int) and not isinstance(row, bool) for row in said
    ):
        return {"id": [str(row) for row in said]}
    raise ArtifactError(f"'{path}' is not a list of ids or of objects with ids. Write one entry a row.")


def _plain_table(path: Path, text: str) -> dict[str, list[str]]:
    if path.suffix != ".csv":
        return {"id": [line.strip() for line in text.splitlines() if line.strip()]}
    csv.field_size_limit(LONGEST_FIELD)
    try:
        header, *rows = [row for row in csv.reader(io.StringIO(text), strict=True) if row]
    except (csv.Error, ValueError) as error:
        raise ArtifactError(f"'{path}' is not a csv file with a header ({error}). Mend it.") from error
    uneven = next((number for number, row in enumerate(rows, 2) if len(row) != len(header)), None)
    if uneven is not None:
        raise ArtifactError(
            f"'{path}' row {uneven} has not the {len(header)} columns of its header. Mend it."
        )
    return {name.strip(): [row[place] for row in rows] for place, name in enumerate(header)}
