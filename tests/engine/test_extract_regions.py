"""Extraction by a detector: pictures of any size, and the same files however the work is broken off."""

import multiprocessing
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image

from mmx.core.home import Home
from mmx.core.reporter import SilentReporter
from mmx.encoders.batch_norm import freeze
from mmx.encoders.load import load_encoder
from mmx.engine.extractor import ExtractOptions, extract_split
from mmx.store.features import FeatureStore
from mmx.store.images import read_pixels
from mmx.store.manifest import Manifest
from mmx.store.writers import writing
from tests.small_corpus import contents, make_corpus

NAME = "random:faster-rcnn"
OPTIONS = {"batch_size": 2, "shard_records": 2}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Last bits depend on the number of threads, and a forked process may have but one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def manifest(home: Home) -> Manifest:
    """Six pictures, two of them of other sizes."""
    made = make_corpus(home, records=6)
    for row, size in ((1, (40, 60)), (4, (300, 50))):
        path = made.image_path(made.split("test")[row])
        Image.open(path).resize(size).save(path)
    return made


def _extract(manifest: Manifest, folder: Path, **options: object) -> None:
    encoder = freeze(load_encoder(NAME, "image"))
    chosen = ExtractOptions(**{**OPTIONS, **options})
    extract_split(encoder, manifest, "test", folder, chosen, torch.device("cpu"), SilentReporter())


@torch.inference_mode()
def test_row_i_is_what_the_detector_says_of_record_i_and_of_its_mirror(
    manifest: Manifest, tmp_path: Path
) -> None:
    _extract(manifest, tmp_path, flip=True)

    store, encoder = FeatureStore.open(tmp_path, "test", manifest.fingerprint), load_encoder(NAME, "image")
    assert store.fields == tuple(
        sorted([*encoder.fields, *(field + "_mirrored" for field in encoder.fields)])
    )
    freeze(encoder)
    for row, record in enumerate(manifest.split("test")):
        pixels = torch.from_numpy(read_pixels(manifest.image_path(record), encoder.view))
        for turned, mirrored in ((pixels, None), (pixels.flip(-1), torch.tensor([True]))):
            for field, values in encoder([turned]).items():
                read = store.read(field, torch.tensor([row]), mirrored)
                torch.testing.assert_close(read, values.half().float())


def test_shares_and_batches_of_any_size_make_the_same_files(manifest: Manifest, tmp_path: Path) -> None:
    _extract(manifest, tmp_path / "whole")
    for part in (1, 0):
        _extract(manifest, tmp_path / "shares", part=part, parts=2, batch_size=5, workers=3)

    assert contents(tmp_path / "shares") == contents(tmp_path / "whole")


def test_a_shard_made_alone_equals_the_shard_made_after_others(manifest: Manifest, tmp_path: Path) -> None:
    _extract(manifest, tmp_path)
    whole = contents(tmp_path)
    for name in whole:
        (tmp_path / name).unlink()
        _extract(manifest, tmp_path)
        assert contents(tmp_path) == whole


def _extract_for_ever(manifest: Manifest, folder: Path) -> None:
    with writing(folder):
        while True:
            _extract(manifest, folder, overwrite=True)


def test_killed_at_any_moment_the_resumed_run_equals_the_unbroken_one(
    manifest: Manifest, tmp_path: Path
) -> None:
    (tmp_path / "whole").mkdir()
    _extract(manifest, tmp_path / "whole")
    whole, folder = contents(tmp_path / "whole"), tmp_path / "killed"
    for seconds in (0.15, 0.3):
        writer = multiprocessing.get_context("fork").Process(
            target=_extract_for_ever, args=(manifest, folder)
        )
        writer.start()
        writer.join(seconds)
        writer.kill()
        writer.join()
        assert all(whole[name] == held for name, held in contents(folder).items())

        with writing(folder):
            _extract(manifest, folder)

        assert contents(folder) == whole
