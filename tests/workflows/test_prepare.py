"""prepare: from raw files of any state to a manifest one can trust, or an error that names what to mend."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy
import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image

from mmx.core.errors import ArtifactError, DataError, MmxError, ResourceError, UsageError
from mmx.core.home import Home
from mmx.core.record import Record
from mmx.core.reporter import SilentReporter
from mmx.store.inspection import PictureFacts
from mmx.store.manifest import Manifest
from mmx.workflows.findings import Findings
from mmx.workflows.picture_check import CheckedPictures, unite_twins
from mmx.workflows.prepare import PrepareResult, PrepareSettings, prepare, read_share


def picture(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = numpy.random.default_rng(seed).integers(0, 255, (24, 32, 3), dtype=numpy.uint8)
    Image.fromarray(values).save(path)


def run(name: str, raw: Path | str | None = None, **settings: object) -> PrepareResult:
    given = None if raw is None else str(raw)
    return prepare(PrepareSettings(name, raw=given, workers=2, **settings), SilentReporter())


class Listener(SilentReporter):
    """Keeps what each bar was to count, and what it counted."""

    def __init__(self) -> None:
        self.bars: dict[str, tuple[float | None, float]] = {}

    @contextmanager
    def progress(self, title: str, total: float | None, unit: str, done: int = 0) -> Iterator["Listener"]:
        self._title = title
        self.bars[title] = (total, 0)
        yield self

    def advance(self, amount: float = 1) -> None:
        total, counted = self.bars[self._title]
        self.bars[self._title] = (total, counted + amount)

    def note(self, text: str) -> None:
        """Not kept."""


def found(result: PrepareResult) -> dict[str, int]:
    return {finding.kind: finding.count for finding in result.findings}


def write_rows(folder: Path, rows: list[dict], name: str = "metadata.jsonl") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def raw(tmp_path: Path, home: Home) -> Path:
    """Ten pictures with two captions each, and a split for each."""
    folder = tmp_path / "raw"
    splits = ["train"] * 6 + ["val"] * 2 + ["test"] * 2
    rows = []
    for number, split in enumerate(splits):
        picture(folder / f"{number}.png", number)
        rows += [{"image": f"{number}.png", "caption": f"{word} {number}", "split": split} for word in "ab"]
    write_rows(folder, rows)
    return folder


def add(raw: Path, **row: object) -> None:
    with (raw / "metadata.jsonl").open("a") as file:
        file.write(json.dumps({"caption": "more", "split": "train", **row}) + "\n")


def test_the_drawn_scenes_are_made_and_can_be_opened(home: Home) -> None:
    result = run("toy", options={"scenes": "20", "size": "32"})
    manifest = Manifest.open(home.dataset("toy"))

    assert {split: row["images"] for split, row in result.counts().items()} == {
        "train": 16,
        "val": 2,
        "test": 2,
    }
    assert all(manifest.image_path(record).is_file() for record in manifest.split("train"))
    assert manifest.fingerprint == result.fingerprint


def test_preparing_again_changes_nothing_and_leaves_nothing_behind(home: Home) -> None:
    options = {"scenes": "20", "size": "32"}
    first = run("toy", options=options)
    again = run("toy", options=options)
    other = run("toy", options=options, seed=1)

    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert len(list(home.dataset("toy").glob("images-*"))) == 1
    assert not list(home.dataset("toy").glob(".mmx-tmp-*"))


def test_preparing_again_mends_a_damaged_picture_of_a_made_corpus(home: Home) -> None:
    options = {"scenes": "20", "size": "32"}
    run("toy", options=options)
    manifest = Manifest.open(home.dataset("toy"))
    path = manifest.image_path(manifest.split("train")[0])
    whole = path.read_bytes()
    path.write_bytes(whole[:20])

    run("toy", options=options)

    assert path.read_bytes() == whole
    assert not list(home.dataset("toy").glob(".mmx-tmp-*"))


def test_rows_of_one_picture_become_one_record(raw: Path, home: Home) -> None:
    result = run("mine", raw)
    manifest = Manifest.open(home.dataset("mine"))

    assert result.counts()["train"] == {"images": 6, "captions": 12, "classes": 0, "identities": 0}
    assert manifest.split("val")[0].captions == ("a 6", "b 6")
    assert result.findings == [] and result.rejects == []


def test_pictures_are_part_of_the_fingerprint(raw: Path) -> None:
    before = run("mine", raw).fingerprint
    picture(raw / "0.png", 99)

    assert run("mine", raw).fingerprint != before


HOSTILE = {
    "truncated.png": "unreadable picture: damaged",
    "empty.jpg": "picture: empty file",
    "page.jpg": "picture: a web page, not a picture",
    "fifo.jpg": "picture: not a regular file",
    "folder.jpg": "picture: a folder",
    "link.png": "picture: link that leaves the folder of pictures",
    "gone.jpg": "picture missing",
    "../../etc/passwd": "path with '..' that leaves the folder of pictures",
    "/etc/passwd": "absolute path",
    "a\0b.png": "NUL byte or control character in the path",
}


def make_hostile(raw: Path) -> None:
    picture(raw / "whole.png", 50)
    (raw / "truncated.png").write_bytes((raw / "whole.png").read_bytes()[:900])
    (raw / "empty.jpg").write_bytes(b"")
    (raw / "page.jpg").write_bytes(b"<html>404</html>")
    os.mkfifo(raw / "fifo.jpg")
    (raw / "folder.jpg").mkdir()
    picture(raw.parent / "outside.png", 51)
    (raw / "link.png").symlink_to(raw.parent / "outside.png")
    for name in HOSTILE:
        add(raw, image=name)


def test_every_bad_picture_is_left_out_by_name_and_reason(raw: Path, home: Home) -> None:
    make_hostile(raw)

    result = run("mine", raw, max_bad="100%")
    rejects = [json.loads(line) for line in (home.dataset("mine") / "rejects.jsonl").read_text().splitlines()]

    assert found(result) == dict.fromkeys(HOSTILE.values(), 1)
    assert sum(row["images"] for row in result.counts().values()) == 10
    assert {row["value"].replace("\\x00", "\0") for row in rejects} == HOSTILE.keys()
    assert next(row for row in rejects if "passwd" in row["value"])["source"].startswith("metadata.jsonl:")


def test_too_much_that_is_bad_is_an_error_with_the_count(raw: Path, home: Home) -> None:
    make_hostile(raw)

    with pytest.raises(DataError, match=r"7 of 17 records \(41.2%\) are bad; --max-bad allows 1.0%"):
        run("mine", raw)
    assert not home.dataset("mine").exists()


def test_a_refused_preparation_leaves_the_old_manifest(raw: Path, home: Home) -> None:
    before = run("mine", raw).fingerprint
    make_hostile(raw)

    with pytest.raises(DataError):
        run("mine", raw)

    assert Manifest.open(home.dataset("mine")).fingerprint == before


def test_on_error_fail_stops_at_the_first_bad_row(raw: Path) -> None:
    add(raw, image="gone.jpg")

    with pytest.raises(DataError, match=r"gone\.jpg': missing"):
        run("mine", raw, on_error="fail")


@pytest.mark.parametrize(
    ("caption", "kind"),
    [
        ("", "empty caption"),
        ("x" * 100_000, "over-long caption"),
        ("\ud800 half", "caption with a lone surrogate (half a character)"),
    ],
)
def test_a_caption_that_cannot_be_used_is_left_out_and_its_picture_kept(
    raw: Path, caption: str, kind: str
) -> None:
    add(raw, image="0.png", caption=caption)

    result = run("mine", raw, max_bad="50%")

    assert found(result) == {kind: 1}
    assert result.counts()["train"]["captions"] == 12


def test_a_picture_whose_every_caption_is_bad_is_left_out(raw: Path) -> None:
    picture(raw / "bare.png", 60)
    add(raw, image="bare.png", caption=" \t")

    assert found(run("mine", raw, max_bad="50%")) == {"empty caption": 1, "no caption that can be used": 1}


def test_tabs_and_newlines_in_captions_become_spaces(raw: Path, home: Home) -> None:
    picture(raw / "tab.png", 61)
    add(raw, image="tab.png", caption="a\tdog\nruns 😀 שלום")
    add(raw, image="tab.png", caption="b")

    run("mine", raw)

    assert Manifest.open(home.dataset("mine")).split("train")[-1].captions[0] == "a dog runs 😀 שלום"


def test_an_unusual_number_of_captions_is_told(raw: Path) -> None:
    add(raw, image="0.png", caption="a third one")

    assert found(run("mine", raw)) == {"number of captions is not 2": 1}


def test_copies_within_a_split_are_told_and_kept(raw: Path) -> None:
    shutil.copy(raw / "0.png", raw / "copy.png")
    add(raw, image="copy.png")
    add(raw, image="copy.png", caption="again")

    result = run("mine", raw)

    assert found(result) == {"exact duplicates": 1}
    assert result.counts()["train"]["images"] == 7


def test_the_same_picture_in_two_splits_is_an_error(raw: Path) -> None:
    shutil.copy(raw / "0.png", raw / "copy.png")
    add(raw, image="copy.png", split="test")

    with pytest.raises(
        DataError, match=r"the same picture in two splits: 1 .*0\.png \(train\) and copy\.png \(test\)"
    ):
        run("mine", raw)
    assert found(run("mine", raw, allow_leaks=True))["the same picture in two splits"] == 1


def test_the_same_file_in_two_splits_is_an_error(raw: Path) -> None:
    add(raw, image="0.png", split="test")

    with pytest.raises(DataError, match=r"the same id in two splits: 1"):
        run("mine", raw)


def test_the_same_identity_in_two_splits_is_an_error(raw: Path) -> None:
    for number, split in ((70, "train"), (71, "test")):
        picture(raw / f"{number}.png", number)
        add(raw, image=f"{number}.png", split=split, identity=5)
    rows = [json.loads(line) for line in (raw / "metadata.jsonl").read_text().splitlines()]
    write_rows(raw, [{"identity": None, **row} for row in rows])

    with pytest.raises(DataError, match="the same identity in two splits: 1"):
        run("mine", raw)


def test_a_drawn_split_divides_neither_identities_nor_copies(tmp_path: Path, home: Home) -> None:
    rows = []
    for number in range(40):
        picture(tmp_path / f"raw/{number}.png", number // 2 if number < 20 else number)
        rows.append(
            {"image": f"{number}.png", "caption": "x", "person_id": None if number < 20 else number // 4}
        )
    write_rows(tmp_path / "raw", rows)

    result = run("mine", tmp_path / "raw")
    manifest = Manifest.open(home.dataset("mine"))
    records = [record for split in manifest.splits for record in manifest.split(split)]
    homes = {(record.identity, record.split) for record in records if record.identity is not None}

    assert len(homes) == 5
    assert "the same picture in two splits" not in found(result)
    assert len(records) == 40
    assert any("by identity with seed 0" in remark for remark in result.remarks)


def test_a_drawn_record_with_a_published_twin_is_left_out_and_the_published_split_stays_as_it_is() -> None:
    def record(name: str, split: str) -> Record:
        return Record(name, split, f"{name}.png", ("x",))

    records = [record("a", "train"), record("b", "val"), record("c", "train"), record("p", "test")]
    digests = {"a": "1", "b": "1", "c": "2", "p": "2"}
    facts = {name: PictureFacts(4, 4, digest, 0, bytes(192)) for name, digest in digests.items()}
    findings = Findings(fail=False)

    united = unite_twins(CheckedPictures(records, facts), frozenset("abc"), findings)

    assert [(row.id, row.split) for row in united.records] == [("a", "train"), ("b", "train"), ("p", "test")]
    assert [(reject.source, reject.value) for reject in findings.rejects] == [("c", "p of test")]
    assert findings.rejects[0].reason == "the same picture as one in a published split"


def test_an_id_that_stands_twice_is_left_out(raw: Path) -> None:
    rows = [json.loads(line) for line in (raw / "metadata.jsonl").read_text().splitlines()]
    write_rows(
        raw, [{**row, "id": 7 if row["image"] in {"0.png", "1.png"} else row["image"]} for row in rows]
    )

    assert found(run("mine", raw, max_bad="50%")) == {"id twice": 1}


def test_an_unknown_split_is_left_out_by_name(raw: Path) -> None:
    picture(raw / "odd.png", 80)
    add(raw, image="odd.png", split="someday")

    assert "unknown split 'someday' (there are train, val, test)" in found(run("mine", raw, max_bad="50%"))


def test_records_without_pictures_are_kept_when_asked(raw: Path) -> None:
    (raw / "0.png").unlink()

    assert found(run("mine", raw, no_images=True)) == {"picture not at hand": 1}


def test_odd_and_tiny_pictures_are_told(raw: Path) -> None:
    Image.new("RGB", (1, 2000), "red").save(raw / "0.png")

    assert found(run("mine", raw)) == {"one side more than 5 times the other": 1, "a side under 16 pixels": 1}


def test_a_dry_run_checks_and_writes_nothing(raw: Path, home: Home) -> None:
    result = run("mine", raw, dry_run=True)

    assert result.counts()["train"]["images"] == 6
    assert not home.root.exists()


def test_a_folder_for_each_class_gives_labels_in_the_order_of_names(tmp_path: Path, home: Home) -> None:
    for number in range(12):
        picture(tmp_path / "raw" / ("zebra", "ant")[number % 2] / f"{number}.png", number)

    result = run("animals", tmp_path / "raw")
    records = Manifest.open(home.dataset("animals")).split("train")

    assert result.class_names == ("ant", "zebra")
    assert all(record.image.startswith(result.class_names[record.label]) for record in records)


def splits_by_class(manifest: Manifest) -> dict[str, Counter]:
    counts: dict[str, Counter] = {name: Counter() for name in manifest.class_names}
    for split in manifest.splits:
        for record in manifest.split(split):
            counts[manifest.class_names[record.label]][split] += 1
    return counts


def album(folder: Path, classes: int = 5, pictures: int = 24) -> Path:
    for number in range(classes * pictures):
        picture(folder / f"class {number % classes}" / f"{number}.png", number)
    return folder


def test_a_drawn_split_gives_each_class_its_shares(tmp_path: Path, home: Home) -> None:
    result = run("mine", album(tmp_path / "album"))
    counts = splits_by_class(Manifest.open(home.dataset("mine")))

    assert counts == {f"class {n}": Counter(train=20, val=2, test=2) for n in range(5)}
    assert any("by image, each class by itself, with seed 0" in remark for remark in result.remarks)


@pytest.mark.parametrize(
    ("pictures", "wanted"), [(1, (1, 0, 0)), (2, (2, 0, 0)), (3, (1, 1, 1)), (4, (2, 1, 1))]
)
def test_a_class_of_three_pictures_has_one_in_each_split(
    tmp_path: Path, home: Home, pictures: int, wanted: tuple[int, ...]
) -> None:
    run("mine", album(tmp_path / "album", 4, pictures))
    counts = splits_by_class(Manifest.open(home.dataset("mine")))

    assert {tuple(row[split] for split in ("train", "val", "test")) for row in counts.values()} == {wanted}


def test_another_seed_draws_other_pictures_of_each_class_and_the_same_seed_the_same(
    tmp_path: Path, home: Home
) -> None:
    folder = album(tmp_path / "album", 2, 12)

    first, again, other = (run("mine", folder, seed=seed).fingerprint for seed in (0, 0, 1))

    assert first == again != other


def test_copies_of_a_picture_stay_in_one_split_of_a_class(tmp_path: Path, home: Home) -> None:
    folder = album(tmp_path / "album", 2, 12)
    for number in range(0, 24, 2):
        shutil.copy(folder / "class 0" / f"{number}.png", folder / "class 0" / f"copy of {number}.png")

    result = run("mine", folder)
    manifest = Manifest.open(home.dataset("mine"))
    split_of = {row.id: split for split in manifest.splits for row in manifest.split(split)}

    assert all(
        split_of[f"class 0/{number}.png"] == split_of[f"class 0/copy of {number}.png"]
        for number in range(0, 24, 2)
    )
    assert "the same picture in two splits" not in found(result)


def test_pictures_without_a_caption_are_counted_and_are_no_bad_records(raw: Path) -> None:
    for number in range(100, 104):
        picture(raw / f"{number}.png", number)
    (raw / ".hidden.png").write_bytes(b"")

    result = run("mine", raw)

    assert "4 pictures of the folder have no caption and are left out" in result.remarks
    assert result.rejects == [] and result.counts()["train"]["images"] == 6


def test_where_every_picture_has_its_row_none_is_said_to_be_left_out(raw: Path) -> None:
    assert not any("are left out" in remark for remark in run("mine", raw).remarks)


@pytest.mark.parametrize("words", ["caption", "sentiment"])
def test_pictures_in_a_folder_beside_the_table_are_counted_too(tmp_path: Path, words: str) -> None:
    for number in range(6):
        picture(tmp_path / "raw" / "images" / f"{number}.png", number)
    more = {"sentiment": "positive"} if words == "sentiment" else {}
    rows = [{"image": f"{number}.png", "caption": f"a dog {number}", **more} for number in range(4)]
    images = [{**row, "image": f"images/{row['image']}"} for row in rows] if more else rows
    write_rows(tmp_path / "raw", images)

    remarks = run("mine", tmp_path / "raw").remarks

    lacks = "belong to no post" if more else "have no caption"
    assert f"2 pictures of the folder {lacks} and are left out" in remarks


def test_the_next_command_fits_what_was_prepared(raw: Path, tmp_path: Path) -> None:
    assert run("mine", raw).next == "mmx train attention-clip --dataset mine --preset offline"
    assert run("animals", album(tmp_path / "album", 2, 3)).next == "mmx fewshot animals --shots 4,16"
    rows = [{"text": f"words {number}", "sentiment": "positive", "split": "train"} for number in range(3)]
    write_rows(tmp_path / "posts", rows)
    assert run("posts", tmp_path / "posts").next == "mmx train muse --dataset posts"
    assert run("mine", raw, dry_run=True).next == ""


def test_of_posts_those_with_a_picture_are_counted(tmp_path: Path) -> None:
    picture(tmp_path / "posts" / "0.png", 0)
    rows = [{"text": f"words {number}", "sentiment": "positive", "image": image, "split": "train"}
            for number, image in enumerate(["0.png", "gone.png", None, None])]  # fmt: skip
    write_rows(tmp_path / "posts", rows)
    listener = Listener()

    result = prepare(PrepareSettings("posts", raw=str(tmp_path / "posts"), workers=1), listener)

    assert "1 of 4 posts have a picture" in result.remarks
    assert listener.bars["checking pictures"] == (2, 2)


def test_the_share_that_would_be_enough_is_said(raw: Path) -> None:
    add(raw, image="gone.png")

    with pytest.raises(
        DataError, match=r"1 of 11 records \(9.1%\).*Mend them, or leave them out with --max-bad 10%"
    ):
        run("mine", raw)
    assert run("mine", raw, max_bad="10%").counts()["train"]["images"] == 6


def test_folders_for_each_split_and_class_keep_their_splits(tmp_path: Path, home: Home) -> None:
    for number, split in enumerate(["train", "train", "valid", "valid", "test", "test"]):
        picture(tmp_path / "raw" / split / ("ant", "zebra")[number % 2] / f"{number}.png", number)

    counts = run("animals", tmp_path / "raw").counts()

    assert {split: row["images"] for split, row in counts.items()} == {"train": 2, "val": 2, "test": 2}


def test_a_csv_with_other_words_for_its_columns_is_read(raw: Path, home: Home) -> None:
    lines = ["File Name,Text,Subset,Class"]
    lines += [f"{number}.png,a dog {number},{split},pet" for number, split in ((0, "training"), (1, "dev"))]
    (raw / "own.csv").write_text("\n".join(lines))

    result = run("mine", raw / "own.csv")

    assert {split: row["images"] for split, row in result.counts().items()} == {
        "train": 1,
        "val": 1,
        "test": 0,
    }
    assert result.class_names == ("pet",)
    assert "no record in split test" in result.remarks


def test_a_column_can_be_named(raw: Path) -> None:
    (raw / "own.csv").write_text("where,words\n0.png,a dog\n1.png,a cat\n2.png,an ant\n")

    with pytest.raises(
        DataError, match=r"no column of pictures. There are: where, words.*--set image=COLUMN"
    ):
        run("mine", raw / "own.csv")
    assert run("mine", raw / "own.csv", options={"image": "where", "caption": "words"}).counts()["train"]


def test_pictures_within_parquet_are_written_to_the_datasets_folder(tmp_path: Path, home: Home) -> None:
    rows = []
    for number in range(10):
        picture(tmp_path / f"{number}.png", number)
        content = (tmp_path / f"{number}.png").read_bytes()
        rows.append({"image": {"bytes": content, "path": None}, "captions": ["a", "b"]})
    (tmp_path / "raw").mkdir()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows[:8]), tmp_path / "raw" / "train-00000.parquet")
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows[8:]), tmp_path / "raw" / "test-00000.parquet")

    run("mine", tmp_path / "raw")
    shutil.rmtree(tmp_path / "raw")
    manifest = Manifest.open(home.dataset("mine"))

    assert manifest.counts == {"train": 8, "val": 0, "test": 2}
    assert manifest.image_path(manifest.split("test")[0]).read_bytes() == rows[8]["image"]["bytes"]


def test_a_folder_of_datasets_keeps_its_splits_and_class_names(tmp_path: Path, home: Home) -> None:
    import datasets

    paths = [tmp_path / f"{number}.png" for number in range(6)]
    for number, path in enumerate(paths):
        picture(path, number)
    kinds = {"image": datasets.Image(), "label": datasets.ClassLabel(names=["zebra", "ant"])}
    data = datasets.Dataset.from_dict(
        {"image": [str(path) for path in paths], "label": [0, 1] * 3}, features=datasets.Features(kinds)
    )
    both = datasets.DatasetDict({"train": data.select(range(4)), "validation": data.select(range(4, 6))})
    both.save_to_disk(str(tmp_path / "saved"))

    result = run("animals", tmp_path / "saved")

    assert {split: row["images"] for split, row in result.counts().items()} == {
        "train": 4,
        "val": 2,
        "test": 0,
    }
    assert result.class_names == ("zebra", "ant")


def test_a_hub_that_cannot_be_reached_is_an_answer_and_no_wait(home: Home) -> None:
    with pytest.raises(
        ArtifactError, match=r"'nobody/nothing' cannot be had: no hub can be reached.*HF_HOME"
    ):
        run("mine", "hub:nobody/nothing")


@pytest.mark.parametrize(
    ("name", "raw", "error", "words"),
    [
        ("flickr9k", None, UsageError, r"Did you mean 'flickr8k'\?.*add --raw"),
        ("flickr8k", None, UsageError, "needs its files.*Flickr8k.token.txt"),
        ("flickr8k", "/nowhere", DataError, "no folder '/nowhere'"),
        ("toy", "/tmp", UsageError, "reads nothing"),
        ("mine", "/nowhere", DataError, "nothing at '/nowhere'. --raw takes"),
        ("../mine", "/tmp", UsageError, "cannot be the name"),
    ],
)
def test_wrong_words_get_an_answer_that_says_what_to_type(
    home: Home, name: str, raw: str | None, error: type[MmxError], words: str
) -> None:
    with pytest.raises(error, match=words):
        run(name, raw)


def test_own_data_under_the_name_of_a_corpus_is_refused(raw: Path) -> None:
    with pytest.raises(UsageError, match="mmx prepare my-flickr8k --raw"):
        run("flickr8k", raw / "metadata.jsonl")


def test_several_tables_are_a_question(raw: Path) -> None:
    (raw / "metadata.jsonl").rename(raw / "one.csv")
    (raw / "two.csv").write_text("image,caption\n")

    with pytest.raises(UsageError, match=r"several tables: one.csv, two.csv. Name one: --raw"):
        run("mine", raw)


def test_a_table_of_no_rows_is_an_error(raw: Path) -> None:
    (raw / "metadata.jsonl").write_text("")

    with pytest.raises(DataError, match="holds no rows"):
        run("mine", raw)


@pytest.mark.parametrize("option", [{"scens": "5"}, {"shares": "80"}])
def test_an_unknown_option_is_refused(home: Home, option: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="there is no option"):
        run("toy", options=option)


@pytest.mark.parametrize("shares", ["80/20", "0/50/50", "a/b/c", "80/10/-10", ""])
def test_impossible_shares_are_refused(raw: Path, shares: str) -> None:
    with pytest.raises(UsageError, match="80/10/10"):
        run("mine", raw, options={"shares": shares})


@pytest.mark.parametrize(("text", "share"), [("1%", 0.01), ("0.5", 0.5), ("100%", 1.0), ("0", 0.0)])
def test_a_share_is_written_as_percent_or_fraction(text: str, share: float) -> None:
    assert read_share(text) == share


@pytest.mark.parametrize("text", ["7", "-1%", "some", "nan", "101%"])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--max-bad"):
        read_share(text)


def test_two_preparations_of_one_dataset_do_not_mix(home: Home) -> None:
    import fcntl

    home.dataset("toy").mkdir(parents=True)
    with (home.dataset("toy").parent / ".toy.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ResourceError, match="being prepared by another process"):
            run("toy")


def test_a_full_disk_leaves_the_old_manifest_and_nothing_else(home: Home) -> None:
    before = run("toy", options={"scenes": "20", "size": "32"})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (600, limits[1]))
    try:
        with pytest.raises(ResourceError, match="no space left"):
            run("toy", options={"scenes": "20", "size": "64"})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)

    assert Manifest.open(home.dataset("toy")).fingerprint == before.fingerprint
    assert not list(home.dataset("toy").glob(".mmx-tmp-*"))


def test_preparing_loads_no_torch() -> None:
    code = "import sys, mmx.workflows.prepare; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.real_data
def test_real_photos_with_a_holdout_give_five_one_and_one_thousand(real_data: Path, home: Home) -> None:
    settings = PrepareSettings("flickr8k", str(real_data / "flickr8k"), options={"holdout": "1000"})

    result = prepare(replace(settings, workers=2), SilentReporter())

    assert {split: row["images"] for split, row in result.counts().items()} == {
        "train": 5000,
        "val": 1000,
        "test": 1000,
    }
    assert result.rejects == []


def test_paths_through_a_foreign_folder_can_be_taken_by_name(home: Home, tmp_path: Path) -> None:
    table = tmp_path / "metadata.csv"
    table.write_text("image_path,caption\n../data/images/a.jpg,a dog\n/elsewhere/b.jpg,a cat\n")

    result = run("mine", table, options={"paths": "names", "shares": "100/0/0"}, no_images=True)

    assert [record.image for record in Manifest.open(result.folder).split("train")] == ["a.jpg", "b.jpg"]
