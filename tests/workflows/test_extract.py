"""extract: encoders by name and features made elsewhere end as the same kind of store."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy
import pytest
import torch

from mmx.core.errors import ArtifactError, UsageError
from mmx.core.home import Home
from mmx.core.record import Record
from mmx.core.reporter import SilentReporter
from mmx.encoders.names import encoder_slug
from mmx.store.features import FeatureStore
from mmx.store.manifest import Manifest, write_manifest
from mmx.workflows.extract import ExtractSettings, extract
from mmx.workflows.import_sources import ImportSource, import_source
from tests.small_corpus import make_corpus


@pytest.fixture
def manifest(home: Home) -> Manifest:
    return make_corpus(home)


def _store(home: Home, manifest: Manifest, name: str, modality: str) -> FeatureStore:
    return FeatureStore.open(
        home.features(manifest.name, encoder_slug(name, modality)), "test", manifest.fingerprint
    )


def test_one_name_extracts_both_modalities(home: Home, manifest: Manifest, reporter: SilentReporter) -> None:
    result = extract(ExtractSettings("small", ("random",), home=home), reporter)

    assert [(row.encoder, row.modality, row.items) for row in result.rows] == [
        ("random:resnet", "image", 10),
        ("random:bert", "text", sum(len(record.captions) for record in manifest.split("test"))),
    ]
    assert _store(home, manifest, "random", "image").rows == 10
    assert _store(home, manifest, "random", "text").modality == "text"


def test_chosen_modalities_and_fields_are_all_that_is_made(
    home: Home, manifest: Manifest, reporter: SilentReporter
) -> None:
    settings = ExtractSettings(
        "small", ("random:clip",), home=home, modalities=("image",), fields=("image_embedding",)
    )

    assert len(extract(settings, reporter).rows) == 1
    assert _store(home, manifest, "random:clip", "image").fields == ("image_embedding",)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"encoders": ()}, "no encoder is named"),
        ({"encoders": ("randm",)}, "Did you mean 'random'"),
        ({"splits": ("train",)}, "no split 'train'"),
        ({"shard": "3/3"}, "'3/3' is no share"),
        ({"shard": "x"}, "'x' is no share"),
        ({"fields": ("image_features", "text_featurs")}, r"no field 'text_featurs'.*text_features"),
        ({"batch_size": 0}, "--batch-size 0 is too small"),
        ({"encoders": ("import:mine",)}, "has no network"),
    ],
)
def test_wrong_words_are_refused(
    changes: dict, words: str, home: Home, manifest: Manifest, reporter: SilentReporter
) -> None:
    with pytest.raises(UsageError, match=words):
        extract(replace(ExtractSettings("small", ("random",), home=home), **changes), reporter)


def test_a_dataset_that_is_not_prepared_is_answered_with_the_command(
    home: Home, reporter: SilentReporter
) -> None:
    with pytest.raises(ArtifactError, match="mmx prepare nowhere"):
        extract(ExtractSettings("nowhere", ("random",), home=home), reporter)


def _import(home: Home, reporter: SilentReporter, source: ImportSource, name: str = "mine") -> None:
    extract(ExtractSettings("small", (name,), home=home, source=source, shard_records=4), reporter)


def _vectors(folder: Path, manifest: Manifest) -> None:
    """Image vectors in falling order of records, text vectors in rising order; entry 0 is the record's
    number.
    """
    records = manifest.split("test")
    numpy.save(folder / "i.npy", numpy.float32([[row, 1, 0] for row in reversed(range(10))]))
    texts = [[row, place, 1] for row, record in enumerate(records) for place in range(len(record.captions))]
    numpy.save(folder / "t.npy", numpy.float32(texts))
    (folder / "i.txt").write_text("".join(f"x/p{row}.jpg\n" for row in reversed(range(10))))
    (folder / "t.txt").write_text("".join(f"id{row[0]}\n" for row in texts))


def test_foreign_vectors_land_at_their_records(
    home: Home, manifest: Manifest, reporter: SilentReporter, tmp_path: Path
) -> None:
    _vectors(tmp_path, manifest)
    _import(home, reporter, ImportSource(tmp_path, images=Path("i.npy"), ids=Path("i.txt")))
    _import(home, reporter, ImportSource(tmp_path, texts=Path("t.npy"), ids=Path("t.txt")))

    images, texts = (_store(home, manifest, "import:mine", modality) for modality in ("image", "text"))

    assert images.read("image_features", torch.arange(10))[:, 0].tolist() == list(range(10))
    captions = torch.arange(int(texts.caption_offsets[-1]))
    owners = torch.arange(10).repeat_interleave(texts.caption_offsets.diff())
    assert torch.equal(texts.read("text_features", captions)[:, 0].long(), owners)


def test_a_grid_of_regions_becomes_patch_features(
    home: Home, manifest: Manifest, reporter: SilentReporter, tmp_path: Path
) -> None:
    """The folder of a SCAN download: an array and a list of ids for each split, an image once for each
    caption.
    """
    regions = numpy.arange(10 * 2 * 3, dtype=numpy.float32).reshape(10, 2, 3)
    numpy.save(tmp_path / "test_ims.npy", numpy.repeat(regions, 5, axis=0))
    (tmp_path / "test_ids.txt").write_text("".join(f"p{row}.jpg\n" * 5 for row in range(10)))

    _import(home, reporter, ImportSource(tmp_path), "butd")

    read = _store(home, manifest, "import:butd", "image").read("patch_features", torch.tensor([9, 0]))
    assert torch.equal(read, torch.from_numpy(regions[[9, 0]]))


def test_embeddings_are_kept_at_unit_length(
    home: Home, manifest: Manifest, reporter: SilentReporter, tmp_path: Path
) -> None:
    _vectors(tmp_path, manifest)

    _import(
        home,
        reporter,
        ImportSource(tmp_path, Path("i.npy"), None, Path("i.txt"), as_embedding=True),
        "clip-vit-b32",
    )

    store = _store(home, manifest, "clip-vit-b32", "image")
    vectors = store.read("image_embedding", torch.arange(10))
    assert vectors.shape == (10, 3)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(10), atol=1e-3, rtol=0)


def test_a_foreign_vector_that_is_no_number_names_its_row(
    home: Home, manifest: Manifest, reporter: SilentReporter, tmp_path: Path
) -> None:
    _vectors(tmp_path, manifest)
    vectors = numpy.load(tmp_path / "i.npy")
    vectors[6, 1] = numpy.nan
    numpy.save(tmp_path / "i.npy", vectors)

    with pytest.raises(ArtifactError, match=r"row 6 of '.*i\.npy' is not a number"):
        _import(home, reporter, ImportSource(tmp_path, images=Path("i.npy"), ids=Path("i.txt")))


def _first_numbers(home: Home, manifest: Manifest) -> list[int]:
    store = _store(home, manifest, "import:mine", "image")
    return store.read("image_features", torch.arange(10))[:, 0].int().tolist()


def test_corrected_ids_or_vectors_are_taken_in_anew(
    home: Home, manifest: Manifest, reporter: SilentReporter, tmp_path: Path
) -> None:
    _vectors(tmp_path, manifest)
    source = ImportSource(tmp_path, images=Path("i.npy"), ids=Path("i.txt"))
    _import(home, reporter, source)

    (tmp_path / "i.txt").write_text("".join(f"x/p{row}.jpg\n" for row in range(10)))
    _import(home, reporter, source)
    assert _first_numbers(home, manifest) == list(reversed(range(10)))

    numpy.save(tmp_path / "i.npy", numpy.load(tmp_path / "i.npy") + 1)
    _import(home, reporter, source)
    assert _first_numbers(home, manifest) == list(reversed(range(1, 11)))


def test_vectors_made_into_another_field_are_in_the_way(
    home: Home, manifest: Manifest, reporter: SilentReporter, tmp_path: Path
) -> None:
    _vectors(tmp_path, manifest)
    source = ImportSource(tmp_path, images=Path("i.npy"), ids=Path("i.txt"))
    _import(home, reporter, source)

    with pytest.raises(ArtifactError, match=r"made with fields.*--overwrite"):
        _import(home, reporter, replace(source, as_embedding=True))


def test_splits_taken_in_from_different_files_are_of_one_encoder(
    home: Home, reporter: SilentReporter, tmp_path: Path
) -> None:
    home.dataset("small").mkdir(parents=True)
    splits = {split: [Record(split, split, f"{split}.jpg")] for split in ("train", "test")}
    made = write_manifest(home.dataset("small"), "small", home.dataset("small"), splits)
    for number, split in enumerate(splits):
        numpy.save(tmp_path / f"{split}.npy", numpy.float32([[number, 1]]))
        (tmp_path / f"{split}.txt").write_text(f"{split}.jpg\n")
        source = ImportSource(tmp_path, images=Path(f"{split}.npy"), ids=Path(f"{split}.txt"))
        settings = ExtractSettings("small", ("mine",), (split,), home=home, source=source)
        extract(settings, reporter)

    folder = home.features("small", encoder_slug("import:mine", "image"))
    train, test = (FeatureStore.open(folder, split, made.fingerprint) for split in splits)
    assert train.fingerprint == test.fingerprint


@pytest.mark.parametrize(
    "changes",
    [{"flip": True}, {"fields": ("image_features",)}, {"batch_size": 8}],
    ids=lambda c: next(iter(c)),
)
def test_what_only_an_encoder_heeds_is_refused_with_an_import(
    changes: dict, home: Home, manifest: Manifest, reporter: SilentReporter, tmp_path: Path
) -> None:
    _vectors(tmp_path, manifest)
    source = ImportSource(tmp_path, images=Path("i.npy"), ids=Path("i.txt"))

    with pytest.raises(UsageError, match="cannot go with --import"):
        extract(ExtractSettings("small", ("mine",), home=home, source=source, **changes), reporter)


def test_what_is_missing_from_an_import_is_asked_for(
    home: Home, manifest: Manifest, reporter: SilentReporter, tmp_path: Path
) -> None:
    _vectors(tmp_path, manifest)
    with pytest.raises(UsageError, match="Give --ids FILE"):
        _import(home, reporter, ImportSource(tmp_path, images=Path("i.npy")))
    with pytest.raises(UsageError, match=r"no 'test_ims\.npy'"):
        _import(home, reporter, ImportSource(tmp_path))
    with pytest.raises(UsageError, match="go with --import DIR"):
        import_source(None, Path("i.npy"), None, None, False)
    with pytest.raises(ArtifactError, match=r"no file '.*absent\.npy'"):
        _import(home, reporter, ImportSource(tmp_path, images=Path("absent.npy"), ids=Path("i.txt")))


@pytest.mark.real_data
def test_published_clip_vectors_give_their_published_recall(
    home: Home, reporter: SilentReporter, real_data: Path
) -> None:
    """100 photos and 500 captions of Flickr8k by CLIP ViT-B/32, taken in in another order than they are
    stored.
    """
    folder = real_data / "clip_vitb32_flickr8k"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    captions: dict[str, list[str]] = {}
    with (folder / "chia213_metadata.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            captions.setdefault(row["image_id"], []).append(row["caption"])
    records = [
        Record(name, "test", f"{name}.jpg", tuple(said[::-1])) for name, said in reversed(captions.items())
    ]
    home.dataset("chia").mkdir(parents=True)
    manifest = write_manifest(home.dataset("chia"), "chia", home.dataset("chia"), {"test": records})
    files = [Path(f"chia213_{name}") for name in ("image.npy", "text.npy", "metadata.csv")]
    source = ImportSource(folder, *files, as_embedding=True)

    extract(ExtractSettings("chia", ("clip-vit-b32",), home=home, source=source), reporter)

    images, texts = (_store(home, manifest, "clip-vit-b32", modality) for modality in ("image", "text"))
    owner = torch.arange(100).repeat_interleave(texts.caption_offsets.diff())
    scores = (
        texts.read("text_embedding", torch.arange(500)) @ images.read("image_embedding", torch.arange(100)).T
    )
    rank = (scores >= scores.gather(1, owner[:, None])).sum(dim=1)
    assert [round((rank <= k).float().mean().item() * 100, 1) for k in (1, 5, 10)] == [83.2, 99.0, 99.8]
