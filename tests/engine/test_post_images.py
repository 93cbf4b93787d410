"""Pictures of posts, some of which have none."""

from pathlib import Path

import numpy
import torch
from PIL import Image

from mmx.core.view import View
from mmx.engine.post_images import PostImages
from mmx.engine.split_data import PixelImages


def make(folder: Path, present: list[bool]) -> PostImages:
    paths = []
    for number, there in enumerate(present):
        path = folder / f"{number}.png"
        Image.fromarray(numpy.full((8, 8, 3), 10 + number, dtype=numpy.uint8)).save(path)
        paths.append(path if there else None)
    small = PixelImages(paths, View(4, 4, "squash", "bilinear"))
    return PostImages(torch.tensor(present), PixelImages(paths, View(8, 8)), small)


def test_a_post_without_a_picture_has_zeros_and_the_mask_tells(tmp_path: Path) -> None:
    read = make(tmp_path, [True, False, True]).read(torch.tensor([2, 1, 0]), [5, 6, 7])

    assert read["image_mask"].tolist() == [True, False, True]
    assert read["pixels"][:, 0, 0, 0].tolist() == [12, 0, 10]
    assert read["thumbnails"].shape == (3, 3, 4, 4) and read["thumbnails"][2].unique().tolist() == [10]


def test_where_no_post_has_a_picture_the_fields_of_images_are_left_out(tmp_path: Path) -> None:
    posts = make(tmp_path, [True, False, False])

    assert list(posts.read(torch.tensor([1, 2]), None)) == ["image_mask"]
    assert list(PostImages(torch.tensor([True]), None).read(torch.tensor([0]), None)) == ["image_mask"]
