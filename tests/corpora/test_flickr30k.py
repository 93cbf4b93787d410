"""flickr30k: token file, CSV with pipes, Karpathy's JSON and two forms of dictionaries."""

import json
from collections import Counter
from pathlib import Path

import pytest

from mmx.core.corpus import Reading
from mmx.core.discover import find_corpus
from mmx.core.errors import DataError, UsageError

NAMES = [f"{number}.jpg" for number in range(100, 120)]


def read(raw: Path, **options: str) -> Reading:
    corpus = find_corpus("flickr30k")
    return corpus.read(raw, {**corpus.options, **options})


def by_image(reading: Reading) -> dict[str, tuple[str, ...]]:
    return {record.image: record.captions for record in reading.records}


def sizes(reading: Reading) -> dict[str, int]:
    return dict(Counter(record.split for record in reading.records))


def write_token(raw: Path) -> None:
    lines = [f"{name}#{number}\tA dog , {number} ." for name in NAMES for number in range(5)]
    (raw / "results_20130124.token").write_text("\n".join(lines))


def test_the_token_file_follows_lists_of_bare_ids(tmp_path: Path) -> None:
    write_token(tmp_path)
    (tmp_path / "train.txt").write_text("100\n101\n")
    (tmp_path / "test.txt").write_text("119\n")

    reading = read(tmp_path)

    assert [(record.id, record.split, record.image) for record in reading.records] == [
        ("100", "train", "100.jpg"),
        ("101", "train", "101.jpg"),
        ("119", "test", "119.jpg"),
    ]


def test_without_lists_the_published_split_cannot_be_had(tmp_path: Path) -> None:
    write_token(tmp_path)

    with pytest.raises(DataError, match="--set split=seed80"):
        read(tmp_path)


def test_seed80_trains_on_eighty_of_a_hundred_images(tmp_path: Path) -> None:
    write_token(tmp_path)

    reading = read(tmp_path, split="seed80")

    assert sizes(reading) == {"train": 16, "val": 4}
    assert "not the published split" in reading.remarks[-1]


def test_the_csv_with_pipes_is_read_with_the_row_that_lacks_one(tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_text(
        "image_name| comment_number| comment\n"
        "1000092795.jpg| 0| Two young guys , one | with a pipe .\n"
        "2199200615.jpg| 3| A dog runs .\n"
        "2199200615.jpg| 4   A dog runs across the grass .\n"
        "nonsense\n"
    )

    reading = read(tmp_path, split="seed80")

    assert by_image(reading)["1000092795.jpg"] == ("Two young guys , one | with a pipe .",)
    assert by_image(reading)["2199200615.jpg"] == ("A dog runs .", "A dog runs across the grass .")
    assert reading.rejects[0]["source"] == "results.csv:5"
    assert "line 4 lacks a pipe" in reading.remarks[0]


def test_the_path_at_the_end_of_a_dictionary_is_no_caption(tmp_path: Path) -> None:
    for name, key in (("validation.json", "7.jpg"), ("test.json", "8.jpg")):
        captions = [f"caption {number}" for number in range(5)]
        (tmp_path / name).write_text(json.dumps({key: [*captions, f"flickr30k-images/{key}"]}))

    reading = read(tmp_path)

    assert by_image(reading)["8.jpg"] == tuple(f"caption {number}" for number in range(5))
    assert sizes(reading) == {"val": 1, "test": 1}


def test_a_dictionary_of_captions_alone_is_read(tmp_path: Path) -> None:
    data = {"8.jpg": ["a", "b", "c", "d", "e"], "9.jpg": "not a list"}
    (tmp_path / "flickr30k_test_data.json").write_text(json.dumps(data))

    reading = read(tmp_path)

    assert by_image(reading) == {"8.jpg": ("a", "b", "c", "d", "e")}
    assert reading.rejects[0]["value"] == "9.jpg"


def test_karpathys_json_comes_first(tmp_path: Path) -> None:
    write_token(tmp_path)
    image = {"filename": "7.jpg", "split": "restval", "sentences": [{"tokens": ["a", "dog"]}]}
    (tmp_path / "dataset_flickr30k.json").write_text(json.dumps({"images": [image]}))

    assert by_image(read(tmp_path)) == {"7.jpg": ("a dog",)}


def test_an_unknown_rule_of_splitting_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="karpathy, seed80"):
        read(tmp_path, split="other")


@pytest.mark.real_data
def test_real_dictionaries_have_five_captions_an_image(real_data: Path) -> None:
    reading = read(real_data / "flickr30k_captions")

    assert sizes(reading) == {"val": 1000, "test": 1000}
    assert {len(record.captions) for record in reading.records} == {5}
