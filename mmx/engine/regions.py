"""Regions of pictures: what a detector found, or the cells of any other encoder's grid in their stead.

Shapes: B pictures, R regions, P patches, F width.
"""

import functools
import math
from collections.abc import Callable, Collection, Iterable

import torch
from torch import Tensor

from mmx.core.errors import ArtifactError
from mmx.core.view import View
from mmx.store.shard import MIRRORED, REGION_FIELDS

WORST_CELL = 1.5
"""How many times as long as wide a cell of a grid may be; what gives longer ones is no grid."""


def grid_boxes(cells: int, height: int, width: int) -> Tensor:
    """[P, 4] x1 y1 x2 y2 of the cells of a grid, row by row, as fractions of the view that they tile.

    Args:
        cells: how many there are; their rows and columns are those that make them most nearly square.
        height: of the view, in any unit.
        width: of the view, in the same unit.

    Raises:
        ArtifactError: when so many cells make no grid of such a view.
    """
    counts = [rows for rows in range(1, cells + 1) if cells % rows == 0]
    rows = min(counts, key=lambda rows: _stretch(rows, cells // rows, height, width), default=0)
    if not rows or _stretch(rows, cells // rows, height, width) > math.log(WORST_CELL):
        raise ArtifactError(
            f"{cells} patches make no grid over a view of {height} x {width}, so their places are not known. "
            "Use the features without region_boxes, or those of another encoder."
        )
    columns = cells // rows
    row, column = torch.arange(cells) // columns, torch.arange(cells) % columns
    edges = (column / columns, row / rows, (column + 1) / columns, (row + 1) / rows)
    return torch.stack(edges, dim=1)


def _stretch(rows: int, columns: int, height: int, width: int) -> float:
    """How far a cell is from square, as the logarithm of its sides' ratio."""
    return abs(math.log((height / rows) / (width / columns)))


def stored_fields(features: Iterable[str], detected: bool, grid: bool) -> set[str]:
    """The fields of a feature store that Batch fields are made of.

    Args:
        features: names of Batch fields, each maybe ending in `_mirrored`.
        detected: the store holds what a detector found.
        grid: its patches are the cells of a grid, whose boxes are known from their number.
    """
    fields: set[str] = set()
    for feature in features:
        plain = feature.removesuffix(MIRRORED)
        parts = {plain}
        if plain in REGION_FIELDS and detected:
            parts.add("region_scores")
        elif plain == "region_features" or (plain == "region_boxes" and grid):
            parts = {"patch_features"}
        fields |= {part + feature[len(plain) :] for part in parts}
    return fields


def image_fields(
    features: Iterable[str], stored: Collection[str], read: Callable[[str], Tensor], view: tuple[int, int]
) -> dict[str, Tensor]:
    """The image fields of a Batch from what an encoder gives, or from what a store holds of it.

    `region_mask` comes with regions. It is that of the mirrored pictures too: where either has fewer regions,
    both are cut to as many.

    Args:
        features: names of Batch fields, each maybe ending in `_mirrored`.
        stored: the fields that there are; with `region_features` among them, regions are a detector's.
        read: field -> [B, ...].
        view: height and width of the encoder's view.
    """
    read = functools.cache(read)
    detected = "region_features" in stored
    fields: dict[str, Tensor] = {}
    for feature in features:
        plain = feature.removesuffix(MIRRORED)
        suffix = feature[len(plain) :]
        if plain == "region_features":
            fields[feature] = read(feature if detected else "patch_features" + suffix)
            mask = read("region_scores" + suffix) > 0 if detected else _all_there(fields[feature])
            fields["region_mask"] = mask & fields.get("region_mask", mask)
        elif plain == "region_boxes" and not detected:
            patches = read("patch_features" + suffix)
            fields[feature] = (
                grid_boxes(patches.shape[1], *view).to(patches.device).repeat(patches.shape[0], 1, 1)
            )
        else:
            fields[feature] = read(feature)
    return fields


def _all_there(values: Tensor) -> Tensor:
    return torch.ones(values.shape[:2], dtype=torch.bool, device=values.device)


def boxes_in_picture(boxes: Tensor, view: View, size: tuple[int, int]) -> Tensor:
    """Boxes as fractions of what an encoder sees of a picture -> as fractions of the picture itself.

    Args:
        boxes: [.., 4] x1 y1 x2 y2.
        view: of the encoder; one that cuts shows the middle of the picture alone.
        size: width and height of the picture, in any unit.
    """
    if view.fit != "crop":
        return boxes
    shown = torch.tensor(
        [min(1.0, size[1] * view.width / (view.height * size[0])),
         min(1.0, size[0] * view.height / (view.width * size[1]))],
        dtype=boxes.dtype, device=boxes.device,
    ).repeat(2)  # fmt: skip
    return (1 - shown) / 2 + boxes * shown
