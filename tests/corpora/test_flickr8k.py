"""flickr8k: each published form, and each way in which copies of it differ, gives the same records."""

import json
from pathlib import Path

import pytest

from mmx.core.corpus import Reading
from mmx.core.discover import find_corpus
from mmx.core.errors import DataError, UsageError

NAMES = [f"{number}_ab.jpg" for number in range(20)]
TRAIN, DEV, TEST = NAMES[:12], NAMES[12:16], NAMES[16:]
KNOWN_BAD = "2258277193_586949ec62.jpg.1"


def read(raw: Path, **options: str) -> Reading:
    corpus = find_corpus("flickr8k")
    return corpus.read(raw, {**corpus.options, **options})


def splits(reading: Reading) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for record in reading.records:
        found.setdefault(record.split, []).append(record.image)
    return found


def write_token(raw: Path, end: str = "\n") -> None:
    names = [*NAMES, KNOWN_BAD]
    lines = [f"{name}#{number}\tA dog , {name} {number} ." for name in names for number in range(5)]
    (raw / "Flickr8k.token.txt").write_text(end.join(lines) + end, newline="")


def write_lists(raw: Path, end: str = "\n", **lists: list[str]) -> None:
    for word, names in lists.items():
        (raw / f"Flickr_8k.{word}Images.txt").write_text(end.join(names) + end, newline="")


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    write_token(tmp_path)
    write_lists(tmp_path, train=TRAIN, dev=DEV, test=TEST)
    return tmp_path


def test_the_token_file_with_its_lists_gives_five_captions_an_image(raw: Path) -> None:
    reading = read(raw)

    assert splits(reading) == {"train": TRAIN, "val": DEV, "test": TEST}
    first = next(iter(reading.records))
    assert first.captions == tuple(f"A dog , 0_ab.jpg {number} ." for number in range(5))
    assert first.id == "0_ab"


def test_the_known_bad_name_is_passed_over_and_told(raw: Path) -> None:
    reading = read(raw)

    assert any(KNOWN_BAD in remark for remark in reading.remarks)
    assert not reading.rejects


def test_dos_line_ends_change_nothing(raw: Path, tmp_path: Path) -> None:
    plain = list(read(raw).records)
    write_token(raw, "\r\n")
    write_lists(raw, "\r\n", train=TRAIN, dev=DEV, test=TEST)

    assert list(read(raw).records) == plain


def test_short_lists_and_strange_names_are_told(raw: Path) -> None:
    write_lists(raw, train=[*TRAIN, "e7.png", TRAIN[0]])

    reading = read(raw)

    assert splits(reading)["train"] == TRAIN
    assert any("1 names have no captions, such as 'e7.png'" in remark for remark in reading.remarks)
    assert any("12 images; the published list has 6,000" in remark for remark in reading.remarks)
    assert any("twice" in remark for remark in reading.remarks)


def test_a_line_of_another_form_is_left_out_with_its_number(raw: Path) -> None:
    with (raw / "Flickr8k.token.txt").open("a") as file:
        file.write("no number here\n")

    assert read(raw).rejects[0]["source"] == f"Flickr8k.token.txt:{21 * 5 + 1}"


def test_holding_out_makes_val_of_train_and_test_of_the_dev_list(raw: Path) -> None:
    (raw / "Flickr_8k.testImages.txt").unlink()

    reading = read(raw, holdout="3")
    found = splits(reading)

    assert len(found["train"]) == 9 and len(found["val"]) == 3
    assert found["test"] == DEV
    assert set(found["train"]) | set(found["val"]) == set(TRAIN)
    assert "3 images of train are held out as val" in reading.remarks[-1]
    assert splits(read(raw, holdout="3")) == found
    assert splits(read(raw, holdout="3", seed="1")) != found


def test_holding_out_beside_a_test_list_leaves_the_dev_list_out(raw: Path) -> None:
    reading = read(raw, holdout="3")

    assert splits(reading)["test"] == TEST
    assert len(list(reading.records)) == len(TRAIN) + len(TEST)
    assert "left out" in reading.remarks[-1]


@pytest.mark.parametrize("holdout", ["12", "-1", "some"])
def test_an_impossible_holdout_is_refused(raw: Path, holdout: str) -> None:
    with pytest.raises(UsageError, match="holdout="):
        read(raw, holdout=holdout)


def test_captions_txt_is_read_with_its_quotes(tmp_path: Path) -> None:
    (tmp_path / "captions.txt").write_text(
        'image,caption\na.jpg,"A dog shakes its head , wet ."\n'
        'a.jpg,"a black "" ADHD "" shirt"\nb.jpg,plain\nc.jpg\n'
    )

    reading = read(tmp_path)
    by_name = {record.image: record.captions for record in reading.records}

    assert by_name["a.jpg"] == ("A dog shakes its head , wet .", 'a black " ADHD " shirt')
    assert by_name["b.jpg"] == ("plain",)
    assert reading.rejects[0]["source"] == "captions.txt:5"
    assert "not the published split" in reading.remarks[-1]
    assert reading.drawn == {"a", "b"}


def test_captions_txt_beside_lists_follows_the_lists(tmp_path: Path) -> None:
    rows = "".join(f"{name},a {name}\n" for name in NAMES)
    (tmp_path / "captions.txt").write_text("image,caption\n" + rows)
    write_lists(tmp_path, train=TRAIN, test=TEST)

    assert splits(read(tmp_path)) == {"train": TRAIN, "test": TEST}


def test_karpathys_json_brings_its_own_splits(tmp_path: Path) -> None:
    images = [
        {"filename": name, "split": split, "sentences": [{"raw": "A dog .", "tokens": ["a", "dog"]}]}
        for name, split in zip(NAMES, ("train", "restval", "val", "test"), strict=False)
    ]
    images += [
        {"filename": "x.jpg", "split": "train", "sentences": []},
        {"filename": "y.jpg", "split": "odd"},
        3,
    ]
    (tmp_path / "dataset_flickr8k.json").write_text(json.dumps({"images": images, "dataset": "flickr8k"}))

    reading = read(tmp_path)

    assert splits(reading) == {"train": NAMES[:2], "val": [NAMES[2]], "test": [NAMES[3]]}
    assert [row["reason"].split(";")[0] for row in reading.rejects] == [
        "no sentences",
        "unknown split 'odd'",
        "no file name",
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [('{"images": [', "not whole JSON"), ("[]", "not an object"), ('{"a":1,"a":2}', "stands twice")],
)
def test_broken_json_names_the_file(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "dataset_flickr8k.json").write_text(text)

    with pytest.raises(DataError, match=rf"dataset_flickr8k.json.*{words}"):
        read(tmp_path)


@pytest.mark.parametrize("name", ["images", "Images", "Flicker8k_Dataset", "Flickr8k_Dataset", "."])
def test_pictures_are_found_in_the_usual_folders(raw: Path, name: str) -> None:
    (raw / name).mkdir(exist_ok=True)
    (raw / name / NAMES[0]).write_bytes(b"x")

    assert read(raw).image_root.resolve() == (raw / name).resolve()


def test_a_folder_within_a_folder_of_the_same_name_is_found(raw: Path) -> None:
    inner = raw / "Flicker8k_Dataset" / "Flicker8k_Dataset"
    inner.mkdir(parents=True)
    (inner / NAMES[0]).write_bytes(b"x")

    assert read(raw).image_root == inner


def test_a_folder_with_nothing_says_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"Expected there: Flickr8k.token.txt with Flickr_8k.trainImages.txt"):
        read(tmp_path)


@pytest.mark.real_data
def test_the_real_lists_give_six_thousand_and_one_thousand(real_data: Path) -> None:
    found = splits(read(real_data / "flickr8k"))

    assert {split: len(names) for split, names in found.items()} == {"train": 6000, "val": 1000}
