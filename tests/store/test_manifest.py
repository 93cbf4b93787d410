"""Manifest: a round trip, what opens without mmx, and every way in which a file on disk can be wrong."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from mmx.core.errors import ArtifactError, DataError, UsageError
from mmx.core.record import Record
from mmx.store.manifest import Manifest, fingerprint, write_manifest

RECORDS = {
    "train": [
        Record(
            "a", "train", "a.png", ("one", "zwei 😀 שלום"), label=1, identity=7, extra={"x": [1, {"y": None}]}
        ),
        Record("b", "train", None, (), words=("RT", "x"), tags=("O", "B-PER"), sentiment="neutral"),
    ],
    "test": [Record("c", "test", "deep/c.png", ("three",))],
}


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    root = tmp_path / "pictures"
    (root / "deep").mkdir(parents=True)
    for name in ("a.png", "deep/c.png"):
        Image.new("RGB", (4, 4), "red").save(root / name)
    return root


@pytest.fixture
def folder(tmp_path: Path, pictures: Path) -> Path:
    write_manifest(tmp_path / "mine", "mine", pictures, RECORDS, ["cat", "dog"], {"seconds": 1})
    return tmp_path / "mine"


def test_records_come_back_as_they_were_written(folder: Path) -> None:
    manifest = Manifest.open(folder)

    assert manifest.split("train") == RECORDS["train"]
    assert manifest.split("test") == RECORDS["test"]
    assert (manifest.name, manifest.class_names) == ("mine", ("cat", "dog"))


def test_only_splits_with_records_are_listed_in_the_order_train_val_test(folder: Path) -> None:
    manifest = Manifest.open(folder)

    assert manifest.splits == ["train", "test"]
    with pytest.raises(UsageError, match=r"no split 'val'.*train, test"):
        manifest.split("val")


def test_the_files_open_without_mmx(folder: Path) -> None:
    import datasets

    files = {split: str(folder / "manifest" / f"{split}.parquet") for split in ("train", "test")}
    loaded = datasets.load_dataset("parquet", data_files=files, cache_dir=str(folder / "cache"))

    assert loaded["train"][0]["captions"] == ["one", "zwei 😀 שלום"]
    assert loaded["test"]["id"] == ["c"]


def test_equal_contents_have_equal_fingerprints_wherever_they_lie(folder: Path, tmp_path: Path) -> None:
    twin = write_manifest(tmp_path / "twin", "twin", tmp_path, RECORDS, ["cat", "dog"])

    assert twin.fingerprint == Manifest.open(folder).fingerprint


@pytest.mark.parametrize("change", [{"captions": ("other",)}, {"label": 0}, {"image": "b.png"}, {"id": "z"}])
def test_any_change_of_a_record_changes_the_fingerprint(change: dict) -> None:
    changed = {**RECORDS, "test": [replace(RECORDS["test"][0], **change)]}

    assert fingerprint(changed, []) != fingerprint(RECORDS, [])


def test_other_pictures_or_classes_change_the_fingerprint() -> None:
    prints = {fingerprint(RECORDS, []), fingerprint(RECORDS, ["cat"]), fingerprint(RECORDS, [], "pictures")}

    assert len(prints) == 3


def test_an_absent_manifest_names_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"no prepared dataset 'gone'.*mmx prepare gone"):
        Manifest.open(tmp_path / "gone")


def test_a_misspelt_name_gets_the_nearest_prepared_one_and_all_there_are(tmp_path: Path) -> None:
    for name in ("holidays", "pets"):
        write_manifest(tmp_path / name, name, tmp_path, RECORDS)

    with pytest.raises(ArtifactError) as raised:
        Manifest.open(tmp_path / "holiday")

    assert str(raised.value) == (
        f"there is no prepared dataset 'holiday' in '{tmp_path}'. Did you mean 'holidays'? Prepared are: "
        "holidays, pets. Make it with: mmx prepare holiday --raw FOLDER"
    )


@pytest.mark.parametrize(("name", "command"), [("toy", "toy"), ("flickr8k", "flickr8k --raw FOLDER")])
def test_a_known_corpus_is_made_as_it_is_made(tmp_path: Path, name: str, command: str) -> None:
    with pytest.raises(ArtifactError) as raised:
        Manifest.open(tmp_path / name)

    assert str(raised.value).endswith(f"Prepared are: none. Make it with: mmx prepare {command}")


def test_a_manifest_without_corpus_json_is_not_complete(folder: Path) -> None:
    (folder / "corpus.json").unlink()

    with pytest.raises(ArtifactError, match="mmx prepare mine"):
        Manifest.open(folder)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "cannot be read"),
        ("[]", "not a JSON object"),
        ("{}", "of format .None."),
        ('{"format": "mmx-manifest", "version": 99}', "version '99'"),
        ('{"format": "mmx-manifest", "version": 1}', "lacks"),
    ],
)
def test_a_wrong_corpus_json_is_a_typed_error(folder: Path, text: str, words: str) -> None:
    (folder / "corpus.json").write_text(text)

    with pytest.raises(ArtifactError, match=words):
        Manifest.open(folder)


def test_a_truncated_parquet_file_is_found(folder: Path) -> None:
    path = folder / "manifest" / "train.parquet"
    path.write_bytes(path.read_bytes()[:-10])

    with pytest.raises(ArtifactError, match="damaged"):
        Manifest.open(folder)


def test_a_writer_killed_before_corpus_json_leaves_the_old_manifest(folder: Path) -> None:
    shutil.copytree(folder / "manifest", folder / "manifest.next")
    (folder / "manifest.next" / "train.parquet").write_bytes(b"half")

    assert Manifest.open(folder).split("train") == RECORDS["train"]


def test_a_writer_killed_after_corpus_json_leaves_the_new_manifest(folder: Path) -> None:
    (folder / "manifest").rename(folder / "manifest.next")

    assert Manifest.open(folder).split("train") == RECORDS["train"]


def test_a_writer_that_fails_after_a_killed_one_leaves_the_only_valid_files(
    folder: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "manifest").rename(folder / "manifest.next")

    def killed(*given: object, **named: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mmx.store.manifest.write_json", killed)
    with pytest.raises(KeyboardInterrupt):
        write_manifest(folder, "mine", pictures, {"val": [Record("v", "val", "a.png", ("new",))]})

    assert Manifest.open(folder).split("train") == RECORDS["train"]


def test_half_of_a_manifest_is_no_hindrance_to_the_next_writer(folder: Path, pictures: Path) -> None:
    (folder / "manifest.next").mkdir()
    (folder / "manifest.next" / "train.parquet").write_bytes(b"half")

    write_manifest(folder, "mine", pictures, {"val": [Record("v", "val", "a.png", ("new",))]})

    assert Manifest.open(folder).splits == ["val"]


def test_writing_again_takes_the_place_of_the_old_manifest(folder: Path, pictures: Path) -> None:
    write_manifest(folder, "mine", pictures, {"val": [Record("v", "val", "a.png", ("new",))]})

    assert Manifest.open(folder).splits == ["val"]
    assert sorted(path.name for path in folder.iterdir()) == [
        "corpus.json",
        "manifest",
        "rejects.jsonl",
        "report.json",
    ]


def test_a_record_in_the_wrong_split_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'c' of 'mine' says split 'test'"):
        write_manifest(tmp_path / "mine", "mine", tmp_path, {"val": RECORDS["test"]})


def test_pictures_within_the_folder_move_with_it(tmp_path: Path, pictures: Path) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(pictures, folder / "images")
    write_manifest(folder, "mine", folder / "images", RECORDS)
    folder.rename(tmp_path / "moved")

    manifest = Manifest.open(tmp_path / "moved")

    assert json.loads((tmp_path / "moved" / "corpus.json").read_text())["image_root"] == "images"
    assert manifest.image_path(manifest.split("test")[0]).is_file()


@pytest.mark.parametrize("image", ["../a.png", "/etc/passwd", "deep/../../a.png", "a\0.png", "C:\\a.png"])
def test_a_path_that_leaves_the_pictures_is_refused(folder: Path, image: str) -> None:
    with pytest.raises(DataError, match="cannot be opened"):
        Manifest.open(folder).image_path(Record("x", "train", image))


def test_a_link_that_leaves_the_pictures_is_refused(folder: Path, pictures: Path) -> None:
    (pictures / "link.png").symlink_to("/etc/passwd")

    with pytest.raises(DataError, match="link that leaves"):
        Manifest.open(folder).image_path(Record("x", "train", "link.png"))


def test_a_record_without_a_picture_has_no_path(folder: Path) -> None:
    with pytest.raises(DataError, match="has no picture"):
        Manifest.open(folder).image_path(RECORDS["train"][1])


def test_pictures_that_are_gone_are_named(folder: Path, pictures: Path) -> None:
    shutil.rmtree(pictures)

    with pytest.raises(ArtifactError, match="pictures of 'mine' are gone"):
        Manifest.open(folder).image_path(RECORDS["test"][0])
