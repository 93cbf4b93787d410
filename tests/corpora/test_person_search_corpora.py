"""cuhk_pedes, icfg_pedes and rstp_reid: their published forms, and what is wrong in copies of them."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from mmx.core.corpus import Reading
from mmx.core.discover import find_corpus
from mmx.core.errors import DataError, UsageError
from mmx.core.home import Home
from mmx.core.reporter import SilentReporter
from mmx.store.manifest import Manifest
from mmx.workflows.prepare import prepare
from mmx.workflows.raw_data import PrepareSettings

CORPORA = {"cuhk_pedes": "reid_raw.json", "icfg_pedes": "ICFG-PEDES.json", "rstp_reid": "data_captions.json"}


def read(name: str, raw: Path | None, **options: str) -> Reading:
    corpus = find_corpus(name)
    return corpus.read(raw, {**corpus.options, **options})


def row(identity: int = 7, split: str | None = "train", path: str = "CUHK01/1.png", **more: Any) -> dict:
    given = {"file_path": path, "id": identity, "captions": ["A man in red.", "a red man"]}
    return {**given, **({} if split is None else {"split": split}), **more}


def write(raw: Path, name: str, rows: Any) -> None:
    (raw / name).write_text(rows if isinstance(rows, str) else json.dumps(rows))


@pytest.mark.parametrize(("name", "file"), CORPORA.items())
def test_the_published_list_is_read_with_identity_split_and_captions(
    name: str, file: str, tmp_path: Path
) -> None:
    write(tmp_path, file, [row(), row(8, "test", "cam_a/2.png")])

    first, second = read(name, tmp_path, holdout="0").records

    assert (first.id, first.identity, first.split, first.image) == ("CUHK01/1", 7, "train", "CUHK01/1.png")
    assert first.captions == ("A man in red.", "a red man")
    assert (second.id, second.identity, second.split) == ("cam_a/2", 8, "test")


def test_rstp_reid_names_its_path_otherwise(tmp_path: Path) -> None:
    write(
        tmp_path,
        "data_captions.json",
        [{"id": 0, "img_path": "0000_c14_0031.jpg", "captions": ["a"], "split": "val"}],
    )

    (record,) = read("rstp_reid", tmp_path).records

    assert (record.image, record.identity) == ("0000_c14_0031.jpg", 0)


@pytest.mark.parametrize("file", ["ICFG-PEDES.json", "ICFG_PEDES.json"])
def test_icfg_pedes_is_found_under_both_names_and_holds_people_of_train_out(
    file: str, tmp_path: Path
) -> None:
    people = [row(person, "train", f"{person}-{crop}.png") for person in range(40) for crop in range(2)]
    write(tmp_path, file, [*people, row(90, "test", "t.png")])

    reading = read("icfg_pedes", tmp_path, holdout="10")

    splits = {
        split: {r.identity for r in reading.records if r.split == split} for split in ("train", "val", "test")
    }
    assert {split: len(found) for split, found in splits.items()} == {"train": 30, "val": 10, "test": 1}
    assert not splits["train"] & splits["val"]
    assert any("10 identities of train are held out as val" in remark for remark in reading.remarks)
    assert find_corpus("icfg_pedes").options["holdout"] == "310"


def test_one_caption_a_row_becomes_one_record_a_crop(tmp_path: Path) -> None:
    rows = [
        row(split="val", captions="one"),
        row(split="val", captions="two"),
        row(split="val", captions="one"),
    ]
    write(tmp_path, "caption_val_new.json", rows)
    write(tmp_path, "caption_test.json", [row(9, None, "b.png", captions="three")])

    first, second = read("cuhk_pedes", tmp_path).records

    assert (first.split, first.captions) == ("val", ("one", "two"))
    assert (second.split, second.captions) == ("test", ("three",))


def test_a_list_without_splits_is_split_by_identity(tmp_path: Path) -> None:
    rows = [row(person, None, f"{person}-{crop}.png") for person in range(30) for crop in range(3)]
    write(tmp_path, "caption_all.json", rows)

    reading = read("cuhk_pedes", tmp_path)

    of_person = {r.identity: r.split for r in reading.records}
    assert all(of_person[r.identity] == r.split for r in reading.records)
    assert Counter(of_person.values()) == {"train": 24, "val": 3, "test": 3}
    assert any("not the published split" in remark for remark in reading.remarks)
    assert len(reading.drawn) == 90


def test_counts_other_than_the_published_ones_are_told(tmp_path: Path) -> None:
    write(tmp_path, "reid_raw.json", [row()])

    remarks = read("cuhk_pedes", tmp_path).remarks

    assert "train has 1 crops; 34,054 were published" in remarks
    assert "test has 0 crops; 3,074 were published" in remarks


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("a string", "not an object"),
        ({"id": 1, "captions": ["a"], "split": "val"}, "no path (file_path or img_path)"),
        (row("seven"), "'seven' is not a whole number"),
        (row(True), "'True' is not a whole number"),
        (row(float("nan")), "'nan' is not a whole number"),
        (row(split="dev"), "unknown split 'dev'"),
        (row(captions=[]), "no caption"),
        (row(captions=[1]), "neither a list of texts nor one text"),
        (row(identity=8), "stood before as identity 7 in 'train'"),
        (row(split="test"), "stood before as identity 7 in 'train'"),
    ],
)
def test_rows_that_cannot_be_used_are_named_with_their_reason(bad: Any, reason: str, tmp_path: Path) -> None:
    write(tmp_path, "reid_raw.json", [row(), bad])

    reading = read("cuhk_pedes", tmp_path)

    (reject,) = reading.rejects
    assert len(reading.records) == 1
    assert reject["source"] == "reid_raw.json: 1" and reason in reject["reason"]


def test_identities_written_as_text_are_numbers(tmp_path: Path) -> None:
    write(tmp_path, "reid_raw.json", [row("12")])

    assert read("cuhk_pedes", tmp_path).records[0].identity == 12


def test_another_file_can_be_named_and_one_that_is_not_there_is_told(tmp_path: Path) -> None:
    write(tmp_path, "reid_raw.part.json", [row()])

    assert len(read("cuhk_pedes", tmp_path, annotations="reid_raw.part.json").records) == 1
    with pytest.raises(DataError, match=r"JSON files there: reid_raw.part.json.*--set annotations=FILE"):
        read("cuhk_pedes", tmp_path)
    with pytest.raises(DataError, match=r"'other\.json' is not in"):
        read("cuhk_pedes", tmp_path, annotations="other.json")


@pytest.mark.parametrize(
    ("text", "words"),
    [('[{"id": 1', "not whole JSON"), ("{}", "holds a dict, not a list"), ("", "not whole JSON")],
)
def test_broken_lists_are_refused(text: str, words: str, tmp_path: Path) -> None:
    write(tmp_path, "reid_raw.json", text)

    with pytest.raises(DataError, match=words):
        read("cuhk_pedes", tmp_path)


def test_options_that_cannot_be_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "reid_raw.json", [row(), row(8, "val", "v.png"), row(9, "train", "t.png")])

    with pytest.raises(UsageError, match="holdout='some'"):
        read("cuhk_pedes", tmp_path, holdout="some")
    with pytest.raises(UsageError, match="there is a val list"):
        read("cuhk_pedes", tmp_path, holdout="1")
    write(tmp_path, "reid_raw.json", [row()])
    with pytest.raises(UsageError, match="train has 1 identities"):
        read("cuhk_pedes", tmp_path, holdout="1")


def test_an_identity_in_two_splits_is_refused(tmp_path: Path, home: Home, reporter: SilentReporter) -> None:
    (tmp_path / "imgs").mkdir()
    write(tmp_path, "reid_raw.json", [row(), row(7, "test", "b.png")])
    settings = PrepareSettings("cuhk_pedes", raw=str(tmp_path), no_images=True, home=home.root)

    with pytest.raises(DataError, match="the same identity in two splits"):
        prepare(settings, reporter)


@pytest.mark.real_data
def test_the_real_records_of_cuhk_pedes_load(real_data: Path, home: Home, reporter: SilentReporter) -> None:
    raw = real_data / "cuhk_pedes_sample"
    options = {"annotations": "reid_raw.valtest.json"}
    settings = PrepareSettings("cuhk_pedes", raw=str(raw), no_images=True, options=options, home=home.root)

    found = prepare(settings, reporter)

    assert (found.splits["val"].images, found.splits["test"].images) == (3_078, 3_074)
    assert (found.splits["val"].identities, found.splits["test"].identities) == (1_000, 1_000)
    assert not found.rejects


@pytest.mark.real_data
def test_the_real_crops_with_captions_are_thirty_two(
    real_data: Path, home: Home, reporter: SilentReporter
) -> None:
    raw, seen = real_data / "cuhk_pedes_sample", set()
    for file in ("reid_raw.sample12.json", "caption_all.sample24.json"):
        prepare(
            PrepareSettings("cuhk_pedes", raw=str(raw), options={"annotations": file}, home=home.root),
            reporter,
        )
        manifest = Manifest.open(home.dataset("cuhk-pedes"))
        seen |= {record.image for split in manifest.splits for record in manifest.split(split)}

    assert len(seen) == 32 and all((raw / "imgs" / image).is_file() for image in seen)
    assert len(list((raw / "imgs").rglob("*.png"))) == 143
