"""Regions of a split: those of the store are those that the photo gives, and lie in the same places."""

from pathlib import Path

import pytest
import torch

from mmx.core.home import Home
from mmx.core.tower import TowerUse
from mmx.store.manifest import Manifest
from mmx.workflows.matcher import Matcher, open_matcher
from mmx.workflows.stored_regions import read_stored, regions_key, split_as_it_stands
from tests.workflows.explained_home import explained_home


@pytest.fixture
def trained(tmp_path: Path) -> Home:
    return explained_home(tmp_path / "home")


def matcher(home: Home, run: str) -> Matcher:
    return open_matcher(home.runs / run, None, home, "cpu")


@pytest.mark.parametrize("run", ["words", "tokens", "detector"])
def test_a_record_has_the_regions_and_the_places_of_its_photo(run: str, trained: Home) -> None:
    opened = matcher(trained, run)
    photo = trained.dataset("drawn") / "images" / "val-2.png"

    stored = read_stored(opened.opened, "drawn val", "val-2")

    live = opened.read_image(photo, ("region_boxes",))
    torch.testing.assert_close(stored.region_boxes, live.region_boxes, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(stored.region_features, live.region_features, atol=2e-2, rtol=1e-2)
    assert torch.equal(stored.region_mask, live.region_mask)
    assert stored.region_features_mirrored is None


def test_a_split_as_it_stands_has_no_mirrored_pictures(trained: Home) -> None:
    opened = matcher(trained, "tokens").opened
    manifest = Manifest.open(trained.dataset("drawn"))
    every = torch.arange(4), torch.arange(8)

    stands = split_as_it_stands(opened, manifest, "val").batch(*every)

    assert stands.region_features_mirrored is None
    assert opened.assembly.data("val").batch(*every).region_features_mirrored is not None
    assert stands.token_features is not None


def test_the_tower_of_the_regions_is_the_one_that_reads_them() -> None:
    image = TowerUse("a", False, ("image_features",))
    regions = TowerUse("b", False, ("region_features", "region_boxes"))

    assert regions_key({"image": image, "regions": regions}) == "regions"
    assert regions_key({"image": regions}) == "image"
    with pytest.raises(ValueError, match="region_features"):
        regions_key({"image": image})
