"""Extraction: the same files come out however the work is shared out or broken off."""

import dataclasses
import multiprocessing
import os
import resource
from pathlib import Path

import pytest
import torch

from mmx.core.errors import ArtifactError, DataError, ResourceError, UsageError
from mmx.core.home import Home
from mmx.core.reporter import SilentReporter
from mmx.encoders.load import load_encoder
from mmx.engine import extractor
from mmx.engine.extractor import Extraction, ExtractOptions, extract_split
from mmx.store.features import FeatureStore
from mmx.store.images import read_pixels
from mmx.store.manifest import Manifest
from mmx.store.writers import writing
from tests.small_corpus import contents, make_corpus

CPU = torch.device("cpu")
KILLS = int(os.environ.get("MMX_TEST_KILLS", "4"))
OPTIONS = {"batch_size": 2, "shard_records": 3}


@pytest.fixture
def manifest(home: Home) -> Manifest:
    return make_corpus(home)


def _extract(
    manifest: Manifest, folder: Path, name: str = "random:resnet", modality: str = "image", **options
) -> Extraction:
    folder.mkdir(exist_ok=True)
    encoder = load_encoder(name, modality)
    return extract_split(
        encoder, manifest, "test", folder, ExtractOptions(**{**OPTIONS, **options}), CPU, SilentReporter()
    )


@torch.inference_mode()
def test_row_i_is_what_the_encoder_says_of_record_i(manifest: Manifest, tmp_path: Path) -> None:
    done = _extract(manifest, tmp_path / "f", flip=True)
    store = FeatureStore.open(tmp_path / "f", "test", manifest.fingerprint)
    encoder = load_encoder("random:resnet", "image")
    pixels = torch.stack(
        [torch.from_numpy(read_pixels(manifest.image_path(r), encoder.view)) for r in manifest.split("test")]
    )

    assert (done.items, done.shards_made, done.shards_kept) == (10, 4, 0)
    for field in ("image_features", "patch_features"):
        read = store.read(field, torch.arange(10))
        torch.testing.assert_close(read, encoder(pixels)[field], atol=2e-3, rtol=2e-3)
        mirrored = store.read(field, torch.arange(10), torch.ones(10, dtype=torch.bool))
        torch.testing.assert_close(mirrored, encoder(pixels.flip(-1))[field], atol=2e-3, rtol=2e-3)


@torch.inference_mode()
@pytest.mark.parametrize("name", ["random:bert", "random:clip"])
def test_caption_j_is_what_the_encoder_says_of_it_alone(
    name: str, manifest: Manifest, tmp_path: Path
) -> None:
    _extract(manifest, tmp_path / "f", name, "text")
    store = FeatureStore.open(tmp_path / "f", "test", manifest.fingerprint)
    encoder = load_encoder(name, "text")
    captions = [caption for record in manifest.split("test") for caption in record.captions]

    assert store.caption_offsets.diff().tolist() == [
        len(record.captions) for record in manifest.split("test")
    ]
    for row, caption in enumerate(captions):
        ids = torch.tensor(encoder.tokenize([caption]))
        alone = encoder(ids, torch.ones_like(ids, dtype=torch.bool))
        tokens, mask = store.read_tokens(torch.tensor([row]))
        assert mask.all()
        torch.testing.assert_close(tokens, alone["token_features"], atol=5e-3, rtol=5e-3)
        read = store.read("text_features", torch.tensor([row]))
        torch.testing.assert_close(read, alone["text_features"], atol=5e-3, rtol=5e-3)


@pytest.mark.parametrize(("name", "modality"), [("random:resnet", "image"), ("random:bert", "text")])
def test_the_union_of_shares_is_one_run_byte_for_byte(
    name: str, modality: str, manifest: Manifest, tmp_path: Path
) -> None:
    _extract(manifest, tmp_path / "whole", name, modality)
    for part in (2, 0, 1):
        _extract(manifest, tmp_path / "shares", name, modality, part=part, parts=3, workers=3)

    assert contents(tmp_path / "shares") == contents(tmp_path / "whole")


def test_what_is_there_is_kept_and_what_is_missing_is_made(manifest: Manifest, tmp_path: Path) -> None:
    folder = tmp_path / "f"
    _extract(manifest, folder)
    before = contents(folder)
    missing = sorted(before)[1]
    (folder / missing).unlink()
    times = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.safetensors")}

    done = _extract(manifest, folder)

    assert (done.shards_made, done.shards_kept) == (1, 3)
    assert contents(folder) == before
    assert all((folder / name).stat().st_mtime_ns == then for name, then in times.items())


def test_a_damaged_shard_is_made_anew(manifest: Manifest, tmp_path: Path) -> None:
    folder = tmp_path / "f"
    _extract(manifest, folder)
    before = contents(folder)
    damaged = folder / sorted(before)[2]
    damaged.write_bytes(damaged.read_bytes()[:100])

    _extract(manifest, folder)

    assert contents(folder) == before


def test_features_of_another_making_are_in_the_way_until_overwritten(
    manifest: Manifest, tmp_path: Path
) -> None:
    folder = tmp_path / "f"
    _extract(manifest, folder)

    with pytest.raises(ArtifactError, match=r"encoder 'random:resnet', not with 'random:vit'.*--overwrite"):
        _extract(manifest, folder, "random:vit")
    with pytest.raises(ArtifactError, match=r"made with fields"):
        _extract(manifest, folder, fields=("image_features",))
    with pytest.raises(ArtifactError, match=r"made with shard_records '3', not with '5'"):
        _extract(manifest, folder, shard_records=5)
    _extract(manifest, folder, "random:vit", overwrite=True, shard_records=5)

    assert FeatureStore.open(folder, "test", manifest.fingerprint).encoder == "random:vit"


class _Stopped(RuntimeError):
    """Raised by a disk that breaks."""


@pytest.mark.parametrize("shard_records", [3, 5])
def test_old_shards_stay_until_the_new_ones_are_there(
    shard_records: int, manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "f"
    _extract(manifest, folder)
    before = contents(folder)

    def break_down(*_: object) -> None:
        raise _Stopped

    with monkeypatch.context() as broken:
        broken.setattr(extractor, "save_shard", break_down)
        with pytest.raises(_Stopped):
            _extract(manifest, folder, "random:vit", overwrite=True, shard_records=shard_records)
    assert contents(folder) == before

    _extract(manifest, folder, "random:vit", overwrite=True, shard_records=shard_records)
    assert len(contents(folder)) == -(-10 // shard_records)
    assert not set(before.values()) & set(contents(folder).values())


def test_a_field_that_the_encoder_does_not_give_is_answered_with_those_it_gives(
    manifest: Manifest, tmp_path: Path
) -> None:
    with pytest.raises(
        UsageError, match=r"gives no 'token_features'\. It gives: image_features, patch_features"
    ):
        _extract(manifest, tmp_path / "f", fields=("token_features",))


def test_an_unreadable_picture_is_named_and_finished_shards_stay(manifest: Manifest, tmp_path: Path) -> None:
    broken = manifest.image_path(manifest.split("test")[7])
    whole = broken.read_bytes()
    broken.write_bytes(whole[:50])
    folder = tmp_path / "f"

    with pytest.raises(
        DataError, match=r"p7\.png' of record 'id7' cannot be read.*mmx prepare small --raw FOLDER"
    ):
        _extract(manifest, folder)
    assert len(contents(folder)) == 2

    broken.write_bytes(whole)
    assert _extract(manifest, folder).shards_kept == 2


def test_a_vector_that_is_no_number_names_its_record(manifest: Manifest, tmp_path: Path) -> None:
    encoder = load_encoder("random:bert", "text")
    tokens = encoder.tokenize([manifest.split("test")[4].captions[0]])[0]
    with torch.no_grad():
        encoder.network.embeddings.word_embeddings.weight[tokens[1]] = float("nan")

    with pytest.raises(DataError, match=r"of record 'id\d' is not a number"):
        extract_split(encoder, manifest, "test", tmp_path, ExtractOptions(**OPTIONS), CPU, SilentReporter())


def test_a_full_disk_leaves_whole_shards_and_no_rest(manifest: Manifest, tmp_path: Path) -> None:
    folder = tmp_path / "f"
    _extract(manifest, folder, part=0, parts=2)
    before = contents(folder)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(ResourceError, match="no space left"):
            _extract(manifest, folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert contents(folder) == before
    assert not [path for path in folder.iterdir() if path.name.startswith(".mmx-tmp-")]


def _extract_for_ever(manifest: Manifest, folder: Path, options: dict) -> None:
    torch.set_num_threads(1)
    with writing(folder):
        while True:
            _extract(manifest, folder, **options, overwrite=True)


def test_killed_at_any_moment_the_resumed_run_equals_the_unbroken_one(
    manifest: Manifest, tmp_path: Path
) -> None:
    """The writer is killed at several moments, each one further into its work than the last."""
    options = {"batch_size": 1, "shard_records": 1}
    _extract(manifest, tmp_path / "whole", **options)
    whole, folder = contents(tmp_path / "whole"), tmp_path / "killed"
    forking = multiprocessing.get_context("fork")
    for moment in range(KILLS):
        writer = forking.Process(target=_extract_for_ever, args=(manifest, folder, options))
        writer.start()
        writer.join(0.05 + 0.013 * moment)
        writer.kill()
        writer.join()
        assert all(whole[name] == held for name, held in contents(folder).items())

        with writing(folder):
            _extract(manifest, folder, **options)

        assert contents(folder) == whole
        assert not [path for path in folder.iterdir() if path.name.startswith(".mmx-tmp-")]


def test_a_post_without_a_picture_has_a_row_of_zeros(home: Home, tmp_path: Path) -> None:
    manifest = make_corpus(home, records=7)
    records = manifest.split("test")
    for place in (0, 3, 4, 5):
        records[place] = dataclasses.replace(records[place], image=None)

    _extract(manifest, tmp_path / "features")

    store = FeatureStore.open(tmp_path / "features", "test", manifest.fingerprint)
    read = store.read("image_features", torch.arange(7))
    assert (read[[0, 3, 4, 5]] == 0).all() and (read[[1, 2, 6]].abs().sum(1) > 0).all()
