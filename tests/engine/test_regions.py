"""Regions: a detector's or the cells of a grid, the fields they are made of, and how they reach a Batch."""

import numpy
import pytest
import torch
from PIL import Image

from mmx.core.errors import ArtifactError
from mmx.core.view import View
from mmx.engine.regions import boxes_in_picture, grid_boxes, image_fields, stored_fields
from mmx.store.images import to_pixels


@pytest.mark.parametrize(
    ("cells", "height", "width", "rows", "columns"),
    [
        (49, 224, 224, 7, 7),
        (1, 64, 64, 1, 1),
        (192, 384, 128, 24, 8),
        (192, 128, 384, 8, 24),
        (35, 200, 140, 7, 5),
        (24, 256, 192, 6, 4),
    ],
)
def test_cells_tile_the_view(cells: int, height: int, width: int, rows: int, columns: int) -> None:
    boxes = grid_boxes(cells, height, width)

    sides = boxes[:, 2:] - boxes[:, :2]
    assert boxes.shape == (cells, 4)
    torch.testing.assert_close(sides, torch.tensor([1 / columns, 1 / rows]).expand(cells, 2))
    torch.testing.assert_close(sides.prod(dim=1).sum(), torch.tensor(1.0))
    assert len({tuple(corner) for corner in boxes[:, :2].tolist()}) == cells
    assert boxes.min() == 0 and boxes.max() == 1


def test_cells_go_row_by_row() -> None:
    assert grid_boxes(6, 20, 30).tolist() == [
        pytest.approx(box)
        for box in (
            [0, 0, 1 / 3, 0.5],
            [1 / 3, 0, 2 / 3, 0.5],
            [2 / 3, 0, 1, 0.5],
            [0, 0.5, 1 / 3, 1],
            [1 / 3, 0.5, 2 / 3, 1],
            [2 / 3, 0.5, 1, 1],
        )
    ]


@pytest.mark.parametrize("cells", [0, 2, 37, 50, 197])
def test_what_is_no_grid_has_no_boxes(cells: int) -> None:
    """197 and 50 are grids with a token of the whole picture, which has no place of its own."""
    with pytest.raises(ArtifactError, match=rf"^{cells} patches make no grid over a view of 224 x 224"):
        grid_boxes(cells, 224, 224)


def test_regions_are_made_of_what_a_store_holds() -> None:
    asked = ("region_features", "region_boxes", "image_features", "region_features_mirrored")

    assert stored_fields(asked, detected=True, grid=False) == {
        "image_features",
        "region_boxes",
        "region_features",
        "region_features_mirrored",
        "region_scores",
        "region_scores_mirrored",
    }
    assert stored_fields(asked, detected=False, grid=True) == {
        "image_features",
        "patch_features",
        "patch_features_mirrored",
    }
    assert "region_boxes" in stored_fields(asked, detected=False, grid=False)


def test_patches_are_served_as_regions_that_are_all_there() -> None:
    held = {"patch_features": torch.rand(2, 4, 3), "patch_features_mirrored": torch.rand(2, 4, 3)}

    read = image_fields(
        ("region_features", "region_boxes", "region_features_mirrored"), held, held.__getitem__, (64, 64)
    )

    assert torch.equal(read["region_features"], held["patch_features"])
    assert torch.equal(read["region_features_mirrored"], held["patch_features_mirrored"])
    assert read["region_mask"].shape == (2, 4) and bool(read["region_mask"].all())
    assert torch.equal(read["region_boxes"], grid_boxes(4, 64, 64).expand(2, 4, 4))


def test_a_region_is_there_where_its_score_is_above_zero() -> None:
    held = {
        "region_features": torch.rand(2, 3, 5),
        "region_boxes": torch.rand(2, 3, 4),
        "region_scores": torch.tensor([[0.9, 0.001, 0], [1, 0, 0]]),
    }

    read = image_fields(("region_features", "region_boxes"), held, held.__getitem__, (800, 1333))

    assert read["region_mask"].tolist() == [[True, True, False], [True, False, False]]
    assert torch.equal(read["region_boxes"], held["region_boxes"])


def test_a_picture_and_its_mirror_are_cut_to_as_many_regions() -> None:
    held = {
        "region_features": torch.rand(1, 3, 5),
        "region_scores": torch.tensor([[0.9, 0.5, 0.1]]),
        "region_features_mirrored": torch.rand(1, 3, 5),
        "region_scores_mirrored": torch.tensor([[0.9, 0.5, 0]]),
    }
    asked = ("region_features", "region_features_mirrored")

    for features in (asked, asked[::-1]):
        read = image_fields(features, held, held.__getitem__, (800, 1333))
        assert read["region_mask"].tolist() == [[True, True, False]]


def test_each_field_is_read_once() -> None:
    held, asked = {"patch_features": torch.rand(1, 4, 3)}, []

    def read(field: str) -> torch.Tensor:
        asked.append(field)
        return held[field]

    image_fields(("patch_features", "region_features", "region_boxes"), held, read, (64, 64))

    assert asked == ["patch_features"]


@pytest.mark.parametrize(
    ("fit", "size", "box"),
    [
        ("squash", (200, 100), (0.0, 0.0, 0.5, 1.0)),
        ("within", (200, 100), (0.0, 0.0, 0.5, 1.0)),
        ("crop", (200, 100), (0.25, 0.0, 0.5, 1.0)),
        ("crop", (100, 400), (0.0, 0.375, 0.5, 0.625)),
        ("crop", (64, 64), (0.0, 0.0, 0.5, 1.0)),
    ],
)
def test_boxes_of_a_view_lie_in_the_picture_where_the_view_was_cut_from(
    fit: str, size: tuple[int, int], box: tuple[float, ...]
) -> None:
    """The left half of what a square view shows."""
    left_half = torch.tensor([[0.0, 0.0, 0.5, 1.0]])

    torch.testing.assert_close(boxes_in_picture(left_half, View(32, 32, fit), size), torch.tensor([box]))


def test_a_cut_view_shows_just_the_pixels_of_its_box() -> None:
    """A picture of four columns of colour, of which the view of 2 x 1 keeps the middle two."""
    picture = Image.new("RGB", (400, 100), "red")
    picture.paste("green", (100, 0, 200, 100))
    picture.paste("blue", (200, 0, 300, 100))
    view = View(100, 200, "crop")
    x1, _, x2, _ = boxes_in_picture(torch.tensor([0.0, 0.0, 1.0, 1.0]), view, picture.size).tolist()

    pixels = to_pixels(picture, view)

    assert (x1, x2) == (0.25, 0.75)
    assert (pixels == numpy.asarray(picture.crop((100, 0, 300, 100))).transpose(2, 0, 1)).all()
