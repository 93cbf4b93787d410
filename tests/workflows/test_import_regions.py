"""Regions made elsewhere: vectors with boxes beside them become regions, and what does not fit is refused."""

from dataclasses import replace
from pathlib import Path

import numpy
import pytest
import torch

from mmx.core.errors import ArtifactError
from mmx.core.home import Home
from mmx.core.record import Record
from mmx.core.reporter import SilentReporter
from mmx.core.tower import TowerUse
from mmx.encoders.names import encoder_slug
from mmx.store.features import FeatureStore
from mmx.store.manifest import Manifest, write_manifest
from mmx.workflows.extract import ExtractSettings, extract
from mmx.workflows.frozen_features import open_features
from mmx.workflows.import_sources import ImportSource

pytestmark = pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")

SIZE = (200, 100)
COUNTS = {"train": 3, "val": 2}
STEMS = {"train": "train", "val": "dev"}
BOX = [20, 10, 200, 50]


@pytest.fixture
def manifest(home: Home) -> Manifest:
    folder = home.dataset("small")
    folder.mkdir(parents=True)
    splits = {
        split: [Record(f"{split}{row}", split, f"{split}{row}.jpg") for row in range(count)]
        for split, count in COUNTS.items()
    }
    return write_manifest(folder, "small", folder, splits)


def precomp(folder: Path, each: int = 1, boxes: str | None = "{}_ims_bbx.npy") -> None:
    """A folder of vectors [N, 2, 3] that hold the number of their image, each image `each` times over."""
    for split, count in COUNTS.items():
        stem = STEMS[split]
        numbers = numpy.arange(1, count + 1, dtype=numpy.float32)[:, None, None]
        vectors = numpy.repeat(numpy.broadcast_to(numbers, (count, 2, 3)), each, axis=0)
        numpy.save(folder / f"{stem}_ims.npy", vectors)
        names = [f"{split}{row}.jpg\n" for row in range(count) for _ in range(each)]
        (folder / f"{stem}_ids.txt").write_text("".join(names))
        if boxes is not None:
            numpy.save(folder / boxes.format(stem), numpy.array([[BOX, [0, 0, *SIZE]]] * count))
            numpy.save(folder / f"{stem}_img_sizes.npy", numpy.array([SIZE] * count))


def take_in(home: Home, folder: Path, reporter: SilentReporter, **changes: object) -> None:
    settings = ExtractSettings("small", ("butd",), home=home, source=ImportSource(folder), shard_records=2)
    extract(replace(settings, **changes), reporter)


def opened(home: Home, manifest: Manifest, split: str = "train") -> FeatureStore:
    folder = home.features("small", encoder_slug("import:butd", "image"))
    return FeatureStore.open(folder, split, manifest.fingerprint)


@pytest.mark.parametrize("each", [1, 5])
@pytest.mark.parametrize("boxes", ["{}_ims_bbx.npy", "{}_boxes.npy"])
def test_vectors_with_boxes_beside_them_become_regions(
    each: int, boxes: str, home: Home, manifest: Manifest, reporter: SilentReporter, tmp_path: Path
) -> None:
    """Vectors once an image or once a caption; boxes and sizes once an image."""
    precomp(tmp_path, each, boxes)

    take_in(home, tmp_path, reporter)

    for split, count in COUNTS.items():
        store = opened(home, manifest, split)
        assert store.fields == ("region_boxes", "region_features", "region_scores")
        rows = torch.arange(count)
        assert store.read("region_features", rows)[:, 1, 2].tolist() == list(range(1, count + 1))
        assert store.read("region_boxes", rows)[-1].tolist() == [
            pytest.approx([0.1, 0.1, 1, 0.5], abs=1e-3),
            [0, 0, 1, 1],
        ]
        assert bool((store.read("region_scores", rows) == 1).all())
    assert opened(home, manifest, "train").fingerprint == opened(home, manifest, "val").fingerprint


def test_without_boxes_they_stay_patches_whose_places_nobody_knows(
    home: Home, manifest: Manifest, reporter: SilentReporter, tmp_path: Path
) -> None:
    """Two vectors are no grid, and 36 would not be one either."""
    precomp(tmp_path, boxes=None)
    take_in(home, tmp_path, reporter)
    regions = TowerUse("import:butd", False, ("region_features",))

    assert open_features(home, manifest, regions, "val").fields == ("patch_features",)
    with pytest.raises(ArtifactError, match=r"lack region_boxes\. Take them in again.*--import DIR"):
        open_features(home, manifest, replace(regions, features=("region_features", "region_boxes")), "val")


def test_boxes_that_are_fractions_need_no_sizes(
    home: Home, manifest: Manifest, reporter: SilentReporter, tmp_path: Path
) -> None:
    precomp(tmp_path)
    for stem, count in zip(STEMS.values(), COUNTS.values(), strict=True):
        boxes = numpy.array([[[0.1, 0.1, 1, 0.5], [0, 0, 1, 1]]] * count)
        numpy.save(tmp_path / f"{stem}_ims_bbx.npy", boxes)
        (tmp_path / f"{stem}_img_sizes.npy").unlink()

    take_in(home, tmp_path, reporter)

    assert opened(home, manifest).read("region_boxes", torch.tensor([0]))[0, 0, 3] == 0.5


def test_a_vector_of_zeros_is_no_region(
    home: Home, manifest: Manifest, reporter: SilentReporter, tmp_path: Path
) -> None:
    precomp(tmp_path)
    vectors = numpy.load(tmp_path / "train_ims.npy")
    vectors[1, 1] = 0
    numpy.save(tmp_path / "train_ims.npy", vectors)
    take_in(home, tmp_path, reporter)

    store = opened(home, manifest)
    assert store.read("region_scores", torch.arange(3)).tolist() == [[1, 1], [1, 0], [1, 1]]
    assert not store.read("region_boxes", torch.tensor([1]))[0, 1].any()

    vectors[1] = 0
    numpy.save(tmp_path / "train_ims.npy", vectors)
    with pytest.raises(ArtifactError, match=r"row 1 of '.*train_ims\.npy' holds no region"):
        take_in(home, tmp_path, reporter, overwrite=True)


def test_corrected_boxes_are_taken_in_anew(
    home: Home, manifest: Manifest, reporter: SilentReporter, tmp_path: Path
) -> None:
    precomp(tmp_path)
    take_in(home, tmp_path, reporter)
    numpy.save(tmp_path / "train_img_sizes.npy", numpy.array([(400, 100)] * 3))

    take_in(home, tmp_path, reporter)

    assert opened(home, manifest).read("region_boxes", torch.tensor([0]))[0, 0, 2] == 0.5


def remove_sizes(folder: Path) -> None:
    (folder / "train_img_sizes.npy").unlink()


def change(name: str, array: object) -> object:
    return lambda folder: numpy.save(folder / name, numpy.array(array))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (
            change("dev_ims.npy", numpy.ones((2, 2, 5), dtype=numpy.float32)),
            r"train_ims\.npy' holds \[3, 2, 3\] and '.*dev_ims\.npy' \[2, 2, 5\]: the splits of one encoder",
        ),
        (change("dev_ims.npy", numpy.ones((2, 3), dtype=numpy.float32)), r"dev_ims\.npy' \[2, 3\]"),
        (change("train_ims.npy", numpy.ones((3, 2, 3), dtype=numpy.int64)), "numbers of type 'int64'"),
        (
            change("train_ims.npy", numpy.ones((4, 2, 3), dtype=numpy.float32)),
            r"names 3 images in 3 rows, but there are 4",
        ),
        (change("train_ims_bbx.npy", [[BOX, BOX]] * 4), r"train_ims_bbx\.npy' has 4 rows, but .* 3 images"),
        (change("train_ims_bbx.npy", [[BOX]] * 3), r"has 1 boxes a picture, but .* has 2 vectors"),
        (change("train_ims_bbx.npy", [[[200, 10, 20, 50], BOX]] * 3), "in another order"),
        (change("train_img_sizes.npy", [SIZE] * 5), r"train_img_sizes\.npy' has 5 rows"),
        (change("train_img_sizes.npy", [SIZE[::-1]] * 3), r"of a picture of \[100\.0, 200\.0\] pixels"),
        (remove_sizes, r"holds pixels, .*Write 'train_img_sizes\.csv' with the columns width,height"),
        (lambda folder: (folder / "dev_ims_bbx.npy").unlink(), r"beside '.*dev_ims\.npy' there are none"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_kept(
    spoil: object, words: str, home: Home, manifest: Manifest, reporter: SilentReporter, tmp_path: Path
) -> None:
    precomp(tmp_path)
    spoil(tmp_path)

    with pytest.raises(ArtifactError, match=words):
        take_in(home, tmp_path, reporter)

    assert not list(home.root.rglob("train-*.safetensors"))
