"""Boxes of regions made elsewhere, and the sizes of the pictures they lie in, found beside the vectors.

Beside `train_ims.npy`: `train_ims_bbx.npy` or `train_boxes.npy`, [N, R, 4] x1 y1 x2 y2, in pixels or as
fractions; for pixels also `train_img_sizes` or `train_ims_size`, as `.csv` with the columns width and height
or as `.npy` of rows (width, height).
"""

from pathlib import Path

import numpy
import torch
from torch import Tensor

from mmx.core.errors import ArtifactError
from mmx.store.foreign import read_id_table, read_npy

BOX_ENDINGS = ("_ims_bbx.npy", "_boxes.npy")
SIZE_ENDINGS = ("_img_sizes.csv", "_ims_size.csv", "_img_sizes.npy", "_ims_size.npy")
OUTSIDE = 0.02
"""Share of a picture's side by which a box may reach over its edge; it is cut there."""
CORNERS = 4


def boxes_beside(vectors: Path) -> Path | None:
    """The boxes of the regions whose vectors a file holds, if there are any."""
    return _beside(vectors, BOX_ENDINGS)


def sizes_beside(vectors: Path) -> Path | None:
    """The sizes of the pictures that boxes lie in, if there are any."""
    return _beside(vectors, SIZE_ENDINGS)


def read_boxes(path: Path) -> Tensor:
    """[N, R, 4] numbers, memory-mapped.

    Raises:
        ArtifactError: when the file is broken or holds something else.
    """
    array = read_npy(path)
    if array.dtype.kind not in "fiu" or array.ndim != 3 or array.shape[-1] != CORNERS or 0 in array.shape:
        raise ArtifactError(
            f"'{path}' holds {array.dtype} {list(array.shape)}. Boxes are numbers [N, R, 4], each of them "
            "x1 y1 x2 y2."
        )
    return torch.from_numpy(_native(array))


def read_sizes(path: Path) -> Tensor:
    """[N, 2] widths and heights.

    Raises:
        ArtifactError: when the file is broken or holds something else.
    """
    sizes = _sizes_of_table(path) if path.suffix == ".csv" else _sizes_of_array(path)
    if not bool((sizes.isfinite() & (sizes > 0)).all()):
        raise ArtifactError(
            f"'{path}' holds a size that is not above 0. Write each picture's width and height."
        )
    return sizes


def as_fractions(path: Path, boxes: Tensor, sizes: Tensor | None) -> Tensor:
    """[n, R, 4] and, where they are pixels, [n, 2] -> boxes as fractions of their pictures, cut at the edges.

    Raises:
        ArtifactError: when a box lies outside its picture, or its corners are in another order.
    """
    boxes = boxes.float()
    if sizes is not None:
        boxes = boxes / sizes.float().repeat(1, 2)[:, None]
    left, right = boxes[..., :2], boxes[..., 2:]
    # numbers that are none are not inside either
    inside = (boxes >= -OUTSIDE) & (boxes <= 1 + OUTSIDE)
    wrong = (~inside.all(dim=-1) | (left > right).any(dim=-1)).nonzero()
    if len(wrong):
        place, region = wrong[0].tolist()
        corners = [round(number, 3) for number in boxes[place, region].tolist()]
        size = f" of a picture of {sizes[place].tolist()} pixels" if sizes is not None else ""
        raise ArtifactError(
            f"'{path}' has a box whose corners x1 y1 x2 y2 lie outside its picture or in another order: "
            f"{corners}, as fractions{size}. Look at the boxes, and at the sizes beside them (width, height)."
        )
    return boxes.clamp(0, 1)


def hold_pixels(boxes: Tensor) -> bool:
    """Whether boxes are in pixels: no fraction is much above 1."""
    return float(boxes.amax()) > 1 + OUTSIDE


def _beside(vectors: Path, endings: tuple[str, ...]) -> Path | None:
    stem = vectors.stem.removesuffix("_ims")
    there = (vectors.with_name(stem + ending) for ending in endings)
    return next((path for path in there if path.is_file()), None)


def _sizes_of_array(path: Path) -> Tensor:
    try:
        array = read_npy(path)
    except ArtifactError as error:
        raise ArtifactError(
            f"{error} Or write the sizes as text, a row a picture: '{path.stem}.csv' with the columns "
            "width,height."
        ) from error
    if array.dtype.kind not in "fiu" or array.ndim != 2 or array.shape[1] != 2:
        raise ArtifactError(
            f"'{path}' holds {array.dtype} {list(array.shape)}. Sizes are numbers [N, 2], each width, height."
        )
    return torch.from_numpy(_native(array)).float()


def _sizes_of_table(path: Path) -> Tensor:
    table = read_id_table(path)
    if not {"width", "height"} <= set(table):
        raise ArtifactError(
            f"'{path}' has the columns {', '.join(table)}. Sizes are in the columns width and height."
        )
    try:
        numbers = [
            [float(table[side][row]) for side in ("width", "height")] for row in range(len(table["width"]))
        ]
    except ValueError as error:
        raise ArtifactError(f"'{path}' holds a size that is no number ({error}). Mend it.") from error
    return torch.tensor(numbers)


def _native(array: numpy.ndarray) -> numpy.ndarray:
    """The same numbers in a type that torch knows; unchanged, and still mapped, where it is one."""
    known = array.dtype.isnative and array.dtype.itemsize <= 8 and array.dtype.kind in "fi"
    return array if known else array.astype(numpy.float64)
