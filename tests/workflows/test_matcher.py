"""Matcher: a photo gives a run with frozen towers what its extracted features would have given."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from torch import Tensor

from mmx.core.batch import Batch
from mmx.core.home import Home
from mmx.core.reporter import SilentReporter
from mmx.core.task import Retrieval
from mmx.core.tower import Tower, TowerUse
from mmx.encoders.load import load_encoder
from mmx.engine.split_data import FeatureImages
from mmx.workflows import matcher
from mmx.workflows.frozen_features import ensure_features, open_features
from mmx.workflows.matcher import Matcher
from tests.small_corpus import make_corpus

FIELDS = ("region_features", "region_boxes", "region_features_mirrored")


def opened(encoder: str, seen: list[Batch]) -> Matcher:
    """The matcher of a run that only looks at what it is given."""

    def encode_image(model: object, batch: Batch) -> Tensor:
        seen.append(batch)
        return torch.zeros(len(batch.region_mask), 2)

    loaded = load_encoder(encoder, "image")
    fact = {"encoder": encoder, "fingerprint": loaded.fingerprint}
    run = SimpleNamespace(
        method=SimpleNamespace(tasks=(Retrieval(encode_image=encode_image, encode_text=encode_image),)),
        uses={"image": TowerUse(encoder, False, FIELDS)},
        towers={"image": Tower(loaded.width)},
        folder=SimpleNamespace(facts={"towers": {"image": fact}}, path=Path("run")),
        model=None,
        fingerprint="f",
    )
    return matcher._trained(run, torch.device("cpu"))


@pytest.mark.parametrize("encoder", ["random:faster-rcnn", "random:vit"])
def test_photos_give_the_fields_that_their_features_would(
    encoder: str, home: Home, reporter: SilentReporter
) -> None:
    """Ten photos of two sizes, for a detector and for a grid, mirrored ones included."""
    manifest = make_corpus(home)
    paths = [manifest.image_path(record) for record in manifest.split("test")]
    Image.open(paths[3]).resize((40, 90)).save(paths[3])
    use, seen = TowerUse(encoder, False, FIELDS), []
    ensure_features(home, manifest, {"image": use}, "cpu", reporter)
    read = FeatureImages(open_features(home, manifest, use, "test"), FIELDS).read(torch.arange(10), None)

    vectors, failures = opened(encoder, seen).encode_images([*paths, home.root], reporter)

    assert (vectors.shape, [place for place, _ in failures]) == ((10, 2), [10])
    assert set(read) == {*FIELDS, "region_mask"}
    for field, values in read.items():
        given = torch.cat([getattr(batch, field) for batch in seen])
        torch.testing.assert_close(given, values, atol=3e-3, rtol=3e-3)
