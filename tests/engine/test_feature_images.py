"""FeatureImages: what training and evaluation read of frozen features, and of which side of a picture."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from mmx.engine.split_data import FeatureImages
from mmx.store.features import FeatureStore
from mmx.store.shard import ShardHeader, save_shard

ROWS = torch.tensor([2, 0])
FLIPPED = [0, 1]
"""Seeds of variation: the second picture is mirrored."""


def store(folder: Path, fields: dict[str, Tensor], view: tuple[int, int] = (64, 64)) -> FeatureStore:
    """Three records; what is said of the mirrored picture is 100 more, and of scores the order turned."""
    mirrored = {
        f"{name}_mirrored": values.flip(0) if name == "region_scores" else values + 100
        for name, values in fields.items()
    }
    tensors = {name: values.half() for name, values in (fields | mirrored).items()}
    width = next(values.shape[-1] for name, values in fields.items() if name.endswith("features"))
    made = ("random:x", "f", "image", "small", "m", "train", tuple(sorted(tensors)), width)
    save_shard(folder, ShardHeader(*made, 0, 3, 3, 8, view=view), tensors, [""] * 3)
    return FeatureStore.open(folder, "train", "m")


@pytest.fixture
def detected(tmp_path: Path) -> FeatureStore:
    numbers = torch.arange(3.0)[:, None, None]
    scores = torch.tensor([[0.9, 0.5], [0.9, 0.5], [0.9, 0.0]])
    return store(
        tmp_path,
        {
            "region_features": numbers.expand(3, 2, 3),
            "region_boxes": (numbers / 8).expand(3, 2, 4),
            "region_scores": scores,
        },
    )


def test_training_mirrors_regions_with_their_boxes_and_their_mask(detected: FeatureStore) -> None:
    images = FeatureImages(detected, ("region_features", "region_boxes"), "flip")

    read = images.read(ROWS, FLIPPED)

    assert set(read) == {"region_features", "region_mask", "region_boxes"}
    assert read["region_features"][:, 0, 0].tolist() == [2, 100]
    assert read["region_boxes"][:, 0, 0].tolist() == [0.25, 100]
    assert read["region_mask"].tolist() == [[True, False], [True, False]]


def test_evaluation_reads_no_mirror_unless_it_is_asked_for(detected: FeatureStore) -> None:
    read = FeatureImages(detected, ("region_features",), "flip").read(ROWS, None)

    assert set(read) == {"region_features", "region_mask"}
    assert read["region_features"][:, 0, 0].tolist() == [2, 0]
    assert read["region_mask"].tolist() == [[True, False], [True, True]]


@pytest.mark.parametrize("augment", ["none", "flip"])
def test_a_field_of_the_mirrored_picture_is_read_in_evaluation_and_never_in_training(
    augment: str, detected: FeatureStore
) -> None:
    images = FeatureImages(detected, ("region_features", "region_features_mirrored"), augment)

    seen, trained = images.read(ROWS, None), images.read(ROWS, FLIPPED)

    assert seen["region_features"][:, 0, 0].tolist() == [2, 0]
    assert seen["region_features_mirrored"][:, 0, 0].tolist() == [102, 100]
    assert seen["region_mask"].tolist() == [[True, False], [True, False]]
    assert set(trained) == {"region_features", "region_mask"}


def test_cells_of_a_view_that_is_not_square_have_their_places(tmp_path: Path) -> None:
    patches = torch.arange(3.0)[:, None, None].expand(3, 8, 3)
    images = FeatureImages(
        store(tmp_path, {"patch_features": patches}, (128, 64)), ("region_features", "region_boxes"), "flip"
    )

    read = images.read(ROWS, FLIPPED)

    assert read["region_features"][:, 0, 0].tolist() == [2, 100]
    assert bool(read["region_mask"].all())
    assert read["region_boxes"].shape == (2, 8, 4)
    assert read["region_boxes"][1, 1].tolist() == [0.5, 0, 1, 0.25]


def test_features_of_another_encoder_are_read_along_without_a_mirror(
    detected: FeatureStore, tmp_path: Path
) -> None:
    other = store(tmp_path / "other", {"image_features": torch.arange(3.0)[:, None].expand(3, 4)})
    beside = FeatureImages(detected, ("region_features", "region_boxes"))

    read = FeatureImages(other, ("image_features",), "flip", beside).read(ROWS, FLIPPED)

    assert set(read) == {"image_features", "region_features", "region_mask", "region_boxes"}
    assert read["image_features"][:, 0].tolist() == [2, 100]
    assert read["region_features"][:, 0, 0].tolist() == [2, 0]
