"""Boxes made elsewhere: found beside the vectors, brought to fractions, refused where they are wrong."""

from pathlib import Path

import numpy
import pytest
import torch

from mmx.core.errors import ArtifactError
from mmx.store.foreign_boxes import (
    as_fractions,
    boxes_beside,
    hold_pixels,
    read_boxes,
    read_sizes,
    sizes_beside,
)

pytestmark = pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")


@pytest.mark.parametrize("name", ["dev_ims_bbx.npy", "dev_boxes.npy"])
def test_boxes_are_found_under_both_names(name: str, tmp_path: Path) -> None:
    assert boxes_beside(tmp_path / "dev_ims.npy") is None
    (tmp_path / name).touch()

    assert boxes_beside(tmp_path / "dev_ims.npy") == tmp_path / name
    assert boxes_beside(tmp_path / "train_ims.npy") is None


def test_sizes_are_found_under_every_name_and_text_goes_first(tmp_path: Path) -> None:
    """So that a person can mend an array that is refused without deleting it."""
    vectors = tmp_path / "dev_ims.npy"
    for name in ("dev_ims_size.npy", "dev_img_sizes.npy", "dev_ims_size.csv", "dev_img_sizes.csv"):
        (tmp_path / name).touch()
        assert sizes_beside(vectors) == tmp_path / name


def test_pixels_are_divided_by_the_sides_of_their_picture() -> None:
    boxes = torch.tensor([[[10, 20, 100, 50]], [[0, 0, 50, 200]]])
    sizes = torch.tensor([[100, 50], [50, 200]])

    found = as_fractions(Path("b.npy"), boxes, sizes)

    torch.testing.assert_close(found, torch.tensor([[[0.1, 0.4, 1, 1]], [[0, 0, 1, 1]]]))
    assert hold_pixels(boxes)


def test_fractions_stay_and_are_cut_at_the_edge() -> None:
    boxes = torch.tensor([[[-0.01, 0.2, 1.01, 0.5]]])

    assert not hold_pixels(boxes)
    torch.testing.assert_close(
        as_fractions(Path("b.npy"), boxes, None), torch.tensor([[[0.0, 0.2, 1.0, 0.5]]])
    )


@pytest.mark.parametrize(
    ("box", "size"),
    [
        ([50.0, 10, 20, 30], [100.0, 100]),
        ([0.0, 0, 110, 30], [100.0, 100]),
        ([0.0, -9, 10, 30], [100.0, 100]),
        ([0.0, 0, float("nan"), 30], [100.0, 100]),
        ([0.5, 0.1, 0.2, 0.3], None),
    ],
)
def test_a_box_that_cannot_be_is_shown(box: list[float], size: list[float] | None) -> None:
    """Corners in another order (or x y width height), outside the picture, or no number."""
    fine = [0.0, 0, 0.5, 0.5]
    sizes = None if size is None else torch.tensor([size])

    with pytest.raises(
        ArtifactError, match=r"'b\.npy' has a box whose corners x1 y1 x2 y2.*\(width, height\)"
    ):
        as_fractions(Path("b.npy"), torch.tensor([[fine, box]]), sizes)


@pytest.mark.parametrize("kind", [numpy.float32, numpy.float64, numpy.int32, numpy.uint16, ">f4"])
def test_boxes_of_any_plain_number_are_read(kind: object, tmp_path: Path) -> None:
    numpy.save(tmp_path / "b.npy", numpy.array([[[1, 2, 3, 4]]], dtype=kind))

    assert read_boxes(tmp_path / "b.npy").tolist() == [[[1, 2, 3, 4]]]


@pytest.mark.parametrize(
    "array",
    [numpy.zeros((3, 4)), numpy.zeros((3, 2, 5)), numpy.zeros((0, 2, 4)), numpy.zeros((1, 1, 4), dtype=bool)],
)
def test_what_are_no_boxes_is_refused(array: numpy.ndarray, tmp_path: Path) -> None:
    numpy.save(tmp_path / "b.npy", array)

    with pytest.raises(ArtifactError, match=r"b\.npy' holds .*\[N, R, 4\]"):
        read_boxes(tmp_path / "b.npy")


def test_sizes_are_read_from_arrays_and_from_text(tmp_path: Path) -> None:
    numpy.save(tmp_path / "s.npy", numpy.array([[500, 375], [333, 500]]))
    (tmp_path / "s.csv").write_text("id,height,width\na,375,500\nb,500,333\n")

    assert torch.equal(read_sizes(tmp_path / "s.npy"), read_sizes(tmp_path / "s.csv"))


def test_sizes_kept_as_objects_are_never_run_and_the_way_on_is_told(tmp_path: Path) -> None:
    """So the sizes of some public downloads are kept."""
    sizes = numpy.array([{"image_w": 500, "image_h": 375}], dtype=object)
    numpy.save(tmp_path / "dev_ims_size.npy", sizes, allow_pickle=True)

    with pytest.raises(
        ArtifactError, match=r"not a plain array.*'dev_ims_size\.csv' with the columns width,"
    ):
        read_sizes(tmp_path / "dev_ims_size.npy")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("s.csv", "w,h\n1,2\n", "has the columns w, h"),
        ("s.csv", "width,height\n1,tall\n", "no number"),
        ("s.csv", "width,height\n1,0\n", "not above 0"),
        ("s.csv", "width,height\n1,nan\n", "not above 0"),
        ("s.npy", numpy.zeros((2, 3)), r"holds float64 \[2, 3\]"),
        ("s.npy", numpy.zeros((2, 2)), "not above 0"),
    ],
)
def test_sizes_that_cannot_be_are_refused(
    name: str, content: str | numpy.ndarray, words: str, tmp_path: Path
) -> None:
    if isinstance(content, str):
        (tmp_path / name).write_text(content)
    else:
        numpy.save(tmp_path / name, content)

    with pytest.raises(ArtifactError, match=rf"{name}' .*{words}"):
        read_sizes(tmp_path / name)
