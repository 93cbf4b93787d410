"""Matcher: a photo for a run with a third tower, and the places of patches of a tower that reads pixels."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from mmx.core.batch import Batch
from mmx.core.home import Home
from mmx.core.reporter import SilentReporter
from mmx.core.task import Retrieval
from mmx.core.tower import Tower, TowerUse
from mmx.encoders.load import load_encoder
from mmx.engine.regions import grid_boxes
from mmx.engine.split_data import FeatureImages, PixelImages
from mmx.workflows import matcher
from mmx.workflows.frozen_features import ensure_features, open_features
from mmx.workflows.matcher import Matcher
from tests.small_corpus import make_corpus

FIELDS = ("region_features", "region_boxes")


def opened(uses: dict[str, TowerUse]) -> Matcher:
    """The matcher of a run that has these towers, and gives the mean colour of a picture."""

    def encode_image(model: object, batch: Batch) -> Tensor:
        return batch.pixels.float().mean(dim=(2, 3))

    loaded = {key: load_encoder(use.encoder, "image") for key, use in uses.items()}
    facts = {
        key: {"encoder": use.encoder, "fingerprint": loaded[key].fingerprint} for key, use in uses.items()
    }
    run = SimpleNamespace(
        method=SimpleNamespace(tasks=(Retrieval(encode_image=encode_image, encode_text=encode_image),)),
        uses=uses,
        towers={
            key: Tower(loaded[key].width, loaded[key] if use.trainable else None) for key, use in uses.items()
        },
        folder=SimpleNamespace(facts={"towers": facts}, path=Path("run")),
        model=None,
        fingerprint="f",
    )
    return matcher._trained(run, torch.device("cpu"))


@pytest.mark.parametrize("regions", ["random:faster-rcnn", "random:vit"])
def test_a_photo_is_read_in_the_view_of_each_tower_as_its_split_is(
    regions: str, home: Home, reporter: SilentReporter
) -> None:
    manifest = make_corpus(home)
    path = manifest.image_path(manifest.split("test")[4])
    uses = {
        "image": TowerUse("random:resnet", True, ("image_features",)),
        "regions": TowerUse(regions, False, FIELDS),
    }
    ensure_features(home, manifest, uses, "cpu", reporter)
    beside = FeatureImages(open_features(home, manifest, uses["regions"], "test"), FIELDS)
    view = load_encoder("random:resnet", "image").view
    stored = PixelImages([path], view, beside=FeatureImages(beside.store, FIELDS)).read(
        torch.tensor([0]), None
    )
    stored |= beside.read(torch.tensor([4]), None)

    read = opened(uses).read_image(path)

    found = read.filled()
    assert set(found) == set(stored) == {"pixels", *FIELDS, "region_mask"}
    for name, value in found.items():
        torch.testing.assert_close(value.float(), stored[name].float(), atol=3e-3, rtol=3e-3)


def test_photos_are_embedded_without_their_regions(home: Home, reporter: SilentReporter) -> None:
    manifest = make_corpus(home)
    paths = [manifest.image_path(record) for record in manifest.split("test")]
    uses = {
        "image": TowerUse("random:resnet", True, ("image_features",)),
        "regions": TowerUse("random:faster-rcnn", False, FIELDS),
    }
    made = opened(uses)

    vectors, failures = made.encode_images(paths, reporter)

    assert (vectors.shape, failures) == ((10, 3), [])


def test_patches_of_a_tower_that_reads_pixels_have_the_places_of_its_grid(home: Home) -> None:
    manifest = make_corpus(home)
    path = manifest.image_path(manifest.split("test")[0])
    made = opened({"image": TowerUse("random:vit", True, ("image_features", "region_features"))})

    plain, placed = made.read_image(path), made.read_image(path, beside=("region_boxes",))

    assert plain.region_mask is None and plain.region_boxes is None
    assert torch.equal(placed.region_boxes, grid_boxes(16, 64, 64)[None])
    assert placed.region_mask.all() and placed.region_features is None
    assert torch.equal(placed.pixels, plain.pixels)
