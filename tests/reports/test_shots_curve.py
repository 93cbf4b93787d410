"""Few-shot pictures: a curve over shots, dots where there is one number of them, and the confusion matrix."""

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from PIL import Image

from mmx.core.errors import ResourceError
from mmx.reports.confusion import draw_confusion
from mmx.reports.shots_curve import _apart, draw_shots_curve

LINES = {"gaussian": [(1, 40.0, 2.0), (4, 60.0, 1.0), (16, 80.0, 0.5)], "gate/strong": [(1, 45.0, 1.0)]}


@pytest.mark.parametrize("points", [3, 1])
def test_lines_and_dots_become_a_picture(points: int, tmp_path: Path) -> None:
    lines = {name: [*found][:points] for name, found in LINES.items()}

    draw_shots_curve("pets $test", "of \\weights", lines, "gate/strong", tmp_path / "a.png")

    with Image.open(tmp_path / "a.png") as picture:
        assert picture.width > 600 and picture.height > 200
        assert picture.convert("L").getextrema()[0] < 100


def test_names_at_the_ends_of_lines_never_lie_on_each_other() -> None:
    found = _apart({"a": 80.0, "b": 80.0, "c": 80.5, "d": 20.0}, gap=2.0, highest=100.0)

    heights = sorted(found.values())
    assert all(above - below > 1.9 for below, above in pairwise(heights))
    assert found["d"] == 20.0 and sorted(found, key=found.get)[0] == "d"


def test_names_that_are_apart_stay_where_they_are() -> None:
    heights = {"a": 1.0, "b": 5.0}

    assert _apart(heights, gap=2.0, highest=9.0) == heights


def test_names_at_the_top_push_the_others_down() -> None:
    assert _apart({"a": 10.0, "b": 10.0, "c": 3.0}, gap=2.0, highest=10.0) == {"a": 8.0, "b": 10.0, "c": 3.0}


@pytest.mark.parametrize("classes", [2, 45])
def test_a_confusion_matrix_becomes_a_picture_of_its_size(classes: int, tmp_path: Path) -> None:
    counts = torch.eye(classes, dtype=torch.int64) * 5
    counts[0, 1] = 3

    draw_confusion("who", [f"class {n} 猫" for n in range(classes)], counts, tmp_path / "a.png")

    with Image.open(tmp_path / "a.png") as picture:
        assert min(picture.size) > 300


def test_a_class_of_no_picture_leaves_its_row_white(tmp_path: Path) -> None:
    draw_confusion("who", ["a", "b"], torch.tensor([[0, 0], [0, 4]]), tmp_path / "a.png")

    assert (tmp_path / "a.png").is_file()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(ResourceError, match="file"):
        draw_shots_curve("t", "b", LINES, "gaussian", tmp_path / "file" / "a.png")
