"""Boxes and scores of regions made elsewhere, for the records whose vectors are taken in."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from mmx.core.errors import ArtifactError
from mmx.core.present import present
from mmx.core.record import Record
from mmx.engine.alignment import image_rows
from mmx.engine.row_names import RowNames
from mmx.store.foreign_boxes import as_fractions, hold_pixels, read_boxes, read_sizes
from mmx.workflows.import_sources import Vectors


@dataclass(frozen=True)
class ForeignBoxes:
    """The boxes of a split's regions, memory-mapped, and which rows of them are a record's."""

    path: Path
    boxes: Tensor
    rows: Tensor
    """[n] int64: each record's row of the boxes."""
    sizes: Tensor | None
    """[n, 2] width and height of each record's picture; None where boxes are fractions."""

    def read(self, ours: slice) -> Tensor:
        """[n, R, 4] fractions x1 y1 x2 y2, of some of the records.

        Raises:
            ArtifactError: when a box lies outside its picture.
        """
        sizes = None if self.sizes is None else self.sizes[ours]
        return as_fractions(self.path, self.boxes.index_select(0, self.rows[ours]), sizes)


def open_boxes(found: Vectors, vectors: Tensor, names: RowNames, records: Sequence[Record]) -> ForeignBoxes:
    """The boxes beside a file of vectors.

    Args:
        found: where vectors, ids and boxes lie.
        vectors: [N, R, F].
        names: of the rows of all of them.
        records: whose boxes are asked for.

    Raises:
        ArtifactError: when files are broken, counts differ, or pixels lack the sizes of their pictures.
    """
    place = present(found.boxes)
    boxes = read_boxes(place)
    if boxes.shape[1] != vectors.shape[1]:
        raise ArtifactError(
            f"'{found.boxes}' has {boxes.shape[1]} boxes a picture, but '{found.file}' has "
            f"{vectors.shape[1]} vectors. Lay the boxes beside the vectors that were made of them."
        )
    rows = _rows_of(place, boxes, names, records)
    if not hold_pixels(boxes):
        return ForeignBoxes(place, boxes, rows, None)
    if found.sizes is None:
        stem = found.file.stem.removesuffix("_ims")
        raise ArtifactError(
            f"'{found.boxes}' holds pixels, and the sizes of the pictures are not beside it. Write "
            f"'{stem}_img_sizes.csv' with the columns width,height, a row a picture in the same order."
        )
    sizes = read_sizes(found.sizes)
    return ForeignBoxes(place, boxes, rows, sizes[_rows_of(found.sizes, sizes, names, records)])


def region_tensors(found: Vectors, vectors: Tensor, boxes: Tensor, rows: Tensor) -> dict[str, Tensor]:
    """[n, R, F] and [n, R, 4] -> the fields of a store; a vector of zeros is no region.

    Raises:
        ArtifactError: when a picture has no region.
    """
    there = vectors.any(dim=-1)
    empty = (~there.any(dim=1)).nonzero().flatten()
    if len(empty):
        raise ArtifactError(
            f"row {int(rows[empty[0]])} of '{found.file}' holds no region: all its vectors are zeros. "
            "Make the file again."
        )
    return {
        "region_features": vectors.half(),
        "region_boxes": (boxes * there[..., None]).half(),
        "region_scores": there.half(),
    }


def _rows_of(path: Path, values: Tensor, names: RowNames, records: Sequence[Record]) -> Tensor:
    """[n] the records' rows of an array with a row for each name, or for each different name."""
    distinct = len(set(names.names))
    if len(values) not in (len(names.names), distinct):
        raise ArtifactError(
            f"'{path}' has {len(values):,} rows, but '{names.source}' names {distinct:,} images in "
            f"{len(names.names):,} rows. Give a row an image, or one a row of ids."
        )
    return torch.tensor(image_rows(names, values, records))
