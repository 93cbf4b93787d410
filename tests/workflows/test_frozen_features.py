"""Features of frozen towers: made where they lack, and never taken from other weights than are asked for."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mmx.core.errors import ArtifactError, UsageError
from mmx.core.home import Home
from mmx.core.reporter import SilentReporter
from mmx.core.tower import TowerUse
from mmx.encoders.names import encoder_slug
from mmx.engine.split_data import FeatureImages
from mmx.store.features import FeatureStore
from mmx.store.manifest import Manifest
from mmx.store.run import RunFolder
from mmx.store.sealed import read_sealed, write_sealed
from mmx.store.shard import Shard, save_shard, shard_paths
from mmx.workflows.evaluate import EvaluateSettings, evaluate
from mmx.workflows.extract import ExtractSettings, extract
from mmx.workflows.frozen_features import ensure_features, open_features
from mmx.workflows.method_settings import Wishes
from mmx.workflows.opened_run import open_run
from mmx.workflows.search import SearchSettings, search
from mmx.workflows.train import TrainSettings, train
from tests.workflows.evaluated_home import fresh_home, write_corpus

FLIPPED = TowerUse("random:resnet", False, ("image_features",), "flip")


class Listener(SilentReporter):
    def __init__(self) -> None:
        self.infos: list[str] = []

    def info(self, text: str) -> None:
        self.infos.append(text)


@pytest.fixture
def drawn(home: Home) -> Manifest:
    """A corpus of which nothing has been extracted yet."""
    write_corpus(home, "small", 5)
    return Manifest.open(home.dataset("small"))


def fields(home: Home, encoder: str, split: str, modality: str = "image") -> set[str]:
    manifest = Manifest.open(home.dataset("small"))
    folder = home.features("small", encoder_slug(encoder, modality))
    return set(FeatureStore.open(folder, split, manifest.fingerprint).fields)


def of_other_weights(home: Home, encoder: str, modality: str, split: str) -> None:
    """Let the features of a split say that other weights made them."""
    manifest = Manifest.open(home.dataset("small"))
    folder = home.features("small", encoder_slug(encoder, modality))
    for path in shard_paths(folder, split):
        shard = Shard(path)
        names = [*shard.header.fields, *(("caption_offsets",) if modality == "text" else ())]
        names += ["token_offsets"] if "token_features" in names else []
        tensors = {name: shard.read(name).clone() for name in names}
        ids = [record.id for record in manifest.split(split)]
        save_shard(folder, replace(shard.header, fingerprint="0ther"), tensors, ids)


def test_only_what_is_read_is_extracted_and_only_train_is_mirrored(
    home: Home, drawn: Manifest, reporter
) -> None:
    ensure_features(home, drawn, {"image": FLIPPED}, "cpu", reporter)

    assert fields(home, "random", "train") == {"image_features", "image_features_mirrored"}
    assert fields(home, "random", "val") == {"image_features"}
    assert open_features(home, drawn, FLIPPED, "val").rows == 10


def test_features_that_lack_a_field_are_extracted_again_with_all_they_had(
    home: Home, drawn: Manifest
) -> None:
    listener = Listener()
    plain = replace(FLIPPED, features=("patch_features",), augment="none")
    ensure_features(home, drawn, {"image": plain}, "cpu", listener)
    ensure_features(home, drawn, {"image": FLIPPED}, "cpu", listener)

    assert fields(home, "random", "val") == {"image_features", "patch_features"}
    assert {"image_features_mirrored", "patch_features"} <= fields(home, "random", "train")
    assert any("lack image_features, image_features_mirrored" in info for info in listener.infos)
    before = len(listener.infos)
    ensure_features(home, drawn, {"image": FLIPPED}, "cpu", listener)
    assert len(listener.infos) == before


REGIONS = TowerUse("random:faster-rcnn", False, ("region_features",), "flip")


def test_the_regions_of_a_detector_are_kept_with_boxes_and_scores(
    home: Home, drawn: Manifest, reporter: SilentReporter
) -> None:
    """Boxes take next to no room, and a second run of a detector takes hours."""
    ensure_features(home, drawn, {"image": REGIONS}, "cpu", reporter, ["train", "val"])

    regions = {"region_boxes", "region_features", "region_scores"}
    assert fields(home, "random:faster-rcnn", "val") == regions
    assert fields(home, "random:faster-rcnn", "train") == regions | {f"{name}_mirrored" for name in regions}
    with_boxes = replace(REGIONS, features=("region_features", "region_boxes"))
    assert open_features(home, drawn, with_boxes, "train").width == 64


def test_any_other_encoder_gives_its_patches_as_regions(
    home: Home, drawn: Manifest, reporter: SilentReporter
) -> None:
    use = TowerUse("random:resnet", False, ("region_features", "region_boxes"), "flip")
    ensure_features(home, drawn, {"image": use}, "cpu", reporter, ["train", "val"])

    assert fields(home, "random", "train") == {"patch_features", "patch_features_mirrored"}
    store = open_features(home, drawn, use, "val")
    read = FeatureImages(store, use.features, use.augment).read(torch.arange(2), None)
    assert read["region_features"].shape[:2] == read["region_mask"].shape == read["region_boxes"].shape[:2]


@pytest.mark.parametrize("encoder", ["random:resnet", "random:faster-rcnn"])
def test_a_mirrored_field_is_made_for_every_split(
    encoder: str, home: Home, drawn: Manifest, reporter: SilentReporter
) -> None:
    use = TowerUse(encoder, False, ("region_features", "region_features_mirrored"))
    ensure_features(home, drawn, {"image": replace(use, features=use.features[:1])}, "cpu", reporter, ["val"])
    with pytest.raises(ArtifactError, match=r"lack .*_mirrored.*--flip --overwrite"):
        open_features(home, drawn, use, "val")

    ensure_features(home, drawn, {"image": use}, "cpu", reporter, ["val"])

    read = FeatureImages(open_features(home, drawn, use, "val"), use.features).read(torch.arange(3), None)
    assert read["region_features"].shape == read["region_features_mirrored"].shape


def test_a_detector_that_is_asked_for_pooled_features_says_what_it_gives(
    home: Home, drawn: Manifest, reporter: SilentReporter, tmp_path: Path
) -> None:
    use = TowerUse("random:faster-rcnn", False, ("image_features",))
    wishes = Wishes("tiny", assignments=("image_encoder=random:faster-rcnn",))
    settings = TrainSettings(
        "attention-clip", "small", wishes, device="cpu", out=tmp_path / "run", home=home.root
    )

    said = r"no field '\w+'\. These encoders give: region_features, region_boxes, region_scores"
    with pytest.raises(UsageError, match=said):
        ensure_features(home, drawn, {"image": use}, "cpu", reporter, ["val"])
    with pytest.raises(UsageError, match=said):
        train(settings, reporter)


def test_a_detector_cannot_be_trained_along(
    home: Home, drawn: Manifest, reporter: SilentReporter, tmp_path: Path
) -> None:
    wishes = Wishes("tiny", assignments=("image_encoder=random:faster-rcnn", "train_image=true"))
    settings = TrainSettings(
        "attention-clip", "small", wishes, device="cpu", out=tmp_path / "run", home=home.root
    )

    with pytest.raises(UsageError, match="'random:faster-rcnn' finds regions and cannot be") as caught:
        train(settings, reporter)

    assert caught.value.exit_code == 2


def test_an_extraction_that_was_broken_off_is_finished(home: Home, drawn: Manifest, reporter) -> None:
    extract(ExtractSettings("small", ("random",), ("train",), home=home, shard_records=5), reporter)
    paths = shard_paths(home.features("small", encoder_slug("random", "image")), "train")
    whole = paths[2].read_bytes()
    paths[2].unlink()

    ensure_features(home, drawn, {"image": replace(FLIPPED, augment="none")}, "cpu", reporter, ["train"])

    assert paths[2].read_bytes() == whole


def test_features_of_other_weights_that_lack_a_field_are_not_written_over(
    home: Home, drawn: Manifest, reporter
) -> None:
    ensure_features(home, drawn, {"image": replace(FLIPPED, augment="none")}, "cpu", reporter)
    of_other_weights(home, "random", "image", "train")

    with pytest.raises(ArtifactError, match=r"lack image_features_mirrored.*--flip --overwrite"):
        ensure_features(home, drawn, {"image": FLIPPED}, "cpu", reporter)

    assert fields(home, "random", "train") == {"image_features"}


def test_extract_then_train_works_with_the_defaults_of_the_method(
    home: Home, drawn: Manifest, reporter, tmp_path: Path
) -> None:
    extract(ExtractSettings("small", ("random",), home=home), reporter)
    wishes = Wishes(assignments=("image_encoder=random", "text_encoder=random", "epochs=1", "width=8"))

    result = train(
        TrainSettings("attention-clip", "small", wishes, device="cpu", out=tmp_path / "run", home=home.root),
        reporter,
    )

    assert result.epoch == 1
    assert "patch_features_mirrored" in fields(home, "random", "train")
    assert "patch_features_mirrored" not in fields(home, "random", "val")


def test_val_features_of_other_weights_than_those_of_train_are_refused(
    home: Home, drawn: Manifest, reporter, tmp_path: Path
) -> None:
    extract(ExtractSettings("small", ("random",), home=home), reporter)
    of_other_weights(home, "random", "text", "val")
    settings = TrainSettings("attention-clip", "small", Wishes("tiny"), device="cpu", out=tmp_path / "run")

    with pytest.raises(ArtifactError, match="have '0ther' in split 'val'"):
        train(replace(settings, home=home.root), reporter)

    assert not (tmp_path / "run").exists()


def test_features_of_other_weights_than_the_model_are_refused(tmp_path: Path, reporter) -> None:
    home = fresh_home(tmp_path / "home")
    settings = EvaluateSettings(home=home, model="random:clip", dataset="small", device="cpu")
    evaluate(settings, reporter)
    of_other_weights(home, "random:clip", "image", "val")

    with pytest.raises(ArtifactError, match="'0ther', but those at hand have"):
        evaluate(settings, reporter)
    with pytest.raises(ArtifactError, match="'0ther', but those at hand have"):
        search(
            SearchSettings(
                query="red", model="random:clip", dataset="small", split="val", home=home, device="cpu"
            ),
            reporter,
        )


def test_photos_are_searched_without_the_dataset_that_the_run_was_trained_on(
    tmp_path: Path, reporter
) -> None:
    home = fresh_home(tmp_path / "home")
    (home.dataset("small") / "images").rename(tmp_path / "photos")
    shutil.rmtree(home.dataset("small"))

    found = search(
        SearchSettings(
            query="red", run=home.runs / "first", folder=tmp_path / "photos", top=2, home=home, device="cpu"
        ),
        reporter,
    )

    assert len(found.hits) == 2


def test_a_trained_tower_that_began_with_other_weights_is_refused(tmp_path: Path) -> None:
    home = fresh_home(tmp_path / "home")
    path = home.runs / "first" / "settings.json"
    facts = read_sealed(path, "")
    facts["towers"]["text"] |= {"trainable": True, "fingerprint": "0ther"}
    write_sealed(path, facts)

    with pytest.raises(ArtifactError, match="began with the text encoder 'random:bert', fingerprint '0ther'"):
        open_run(home.runs / "first", home, torch.device("cpu"))


def test_the_fingerprint_of_an_opened_run_is_that_of_the_weights_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Better weights are written just after the first look at the fingerprint."""
    home = fresh_home(tmp_path / "home")
    load, better = RunFolder.load_weights, home.runs / "second" / "model.safetensors"

    def load_late(self: RunFolder, model: torch.nn.Module) -> None:
        shutil.copy(better, self.weights)
        load(self, model)

    monkeypatch.setattr(RunFolder, "load_weights", load_late)
    opened = open_run(home.runs / "first", home, torch.device("cpu"))

    assert opened.fingerprint == opened.folder.fingerprint
