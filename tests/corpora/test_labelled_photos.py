"""Corpora of labelled photos: the published lists as they are found, and what is odd in them."""

import json
from collections import Counter
from pathlib import Path

import pytest

from mmx.core.corpus import Reading
from mmx.core.discover import find_corpus
from mmx.core.errors import DataError, UsageError

SPLIT = {
    "train": [["cat/1.jpg", 0, "Tom Cat"], ["dog/1.jpg", 1, "dog"]],
    "val": [["cat/2.jpg", 0, "Tom Cat"]],
    "test": [["dog/2.jpg", 1, "dog"]],
}


def read(name: str, folder: Path, **options: str) -> Reading:
    corpus = find_corpus(name)
    return corpus.read(folder, {**corpus.options, **options})


def coop(folder: Path, said: object = SPLIT) -> Path:
    (folder / "images").mkdir(exist_ok=True)
    text = said if isinstance(said, str) else json.dumps(said)
    (folder / "split_zhou_Pets.json").write_text(text)
    return folder


def pets(folder: Path, train: str, test: str = "Abyssinian_9 1 1 1\n") -> Path:
    (folder / "images").mkdir()
    (folder / "annotations").mkdir()
    (folder / "annotations" / "trainval.txt").write_text(train)
    (folder / "annotations" / "test.txt").write_text(test)
    return folder


def food(folder: Path, train: object, test: object) -> Path:
    (folder / "images").mkdir()
    (folder / "meta").mkdir()
    for name, said in (("train", train), ("test", test)):
        if isinstance(said, str):
            (folder / "meta" / f"{name}.txt").write_text(said)
        else:
            (folder / "meta" / f"{name}.json").write_text(json.dumps(said))
    return folder


@pytest.mark.parametrize("name", ["oxford_pets", "food101", "coop_split"])
def test_a_split_file_of_coop_is_read_as_it_stands(name: str, tmp_path: Path) -> None:
    reading = read(name, coop(tmp_path))

    rows = [(record.split, record.image, record.label) for record in reading.records]
    assert rows == [
        ("train", "cat/1.jpg", 0),
        ("train", "dog/1.jpg", 1),
        ("val", "cat/2.jpg", 0),
        ("test", "dog/2.jpg", 1),
    ]
    assert reading.class_names == ("Tom Cat", "dog") and not reading.drawn


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("{", "is not whole JSON"),
        ("[1]", "holds a list, not an object with train"),
        ({"train": [["a.jpg", "0", "cat"]]}, r"train\[0\] is '\['a.jpg', '0', 'cat'\]', not"),
        ({"train": [["a.jpg", -1, "cat"]]}, "label from 0 on"),
        ({"train": [["a.jpg", 0, " "]]}, "the name of class 0 is empty"),
        (
            {"train": [["a.jpg", 0, "cat"], ["b.jpg", 0, "dog"]]},
            r"train\[1\] calls class 0 'dog', and before",
        ),
        ({"train": [["a.jpg", 0, "cat"], ["b.jpg", 2, "dog"]]}, "2 classes, but none with label 1"),
    ],
)
def test_a_split_file_in_another_form_ends_with_its_place(said: object, words: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=words):
        read("coop_split", coop(tmp_path, said))


def test_a_folder_with_a_split_file_is_known_by_it(tmp_path: Path) -> None:
    fits = find_corpus("coop_split").fits

    assert not fits(tmp_path)
    assert fits(coop(tmp_path))


def test_the_lists_of_the_pets_give_class_breed_and_picture(tmp_path: Path) -> None:
    lines = "#Image CLASS-ID SPECIES BREED ID\nAbyssinian_1 1 1 1\nyorkshire_terrier_2 2 2 1\n"

    reading = read("oxford_pets", pets(tmp_path, lines))

    assert [(r.image, r.label) for r in reading.records] == [
        ("Abyssinian_1.jpg", 0), ("yorkshire_terrier_2.jpg", 1), ("Abyssinian_9.jpg", 0),
    ]  # fmt: skip
    assert reading.class_names == ("abyssinian", "yorkshire_terrier")
    assert [record.split for record in reading.records][2] == "test"


def test_val_is_a_fifth_of_each_class_of_train_by_seed(tmp_path: Path) -> None:
    lines = "".join(f"{breed}_{n} {c} 1 1\n" for c, breed in ((1, "a"), (2, "b")) for n in range(10))
    folder = pets(tmp_path, lines, "a_99 1 1 1\n")

    first, other = read("oxford_pets", folder), read("oxford_pets", folder, seed="1")

    counts = Counter((record.split, record.label) for record in first.records)
    assert counts == {("train", 0): 8, ("val", 0): 2, ("train", 1): 8, ("val", 1): 2, ("test", 0): 1}
    assert "no val is published: 20%" in first.remarks[-1] and len(first.drawn) == 20
    assert [r.split for r in first.records] != [r.split for r in other.records]
    assert [r.split for r in first.records] == [r.split for r in read("oxford_pets", folder).records]
    half = read("oxford_pets", folder, val="0.5").records
    assert sum(record.split == "val" for record in half) == 10


@pytest.mark.parametrize("options", [{"val": "1"}, {"val": "some"}, {"val": "0"}, {"seed": "-1"}])
def test_a_share_that_leaves_nothing_is_refused(options: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"is not (a share|possible)"):
        read("oxford_pets", pets(tmp_path, "Abyssinian_1 1 1 1\n"), **options)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("Abyssinian 1 1 1", r"trainval.txt:1 is 'Abyssinian 1 1 1', not like"),
        ("Abyssinian_1 0 1 1", "not like"),
        ("Abyssinian_1 1 1", "not like"),
        ("a_1 1 1 1\nb_1 1 1 1", "trainval.txt:2 calls class 1 'b', and before it was 'a'"),
        ("b_1 3 1 1", "none with label 1"),
    ],
)
def test_a_broken_line_of_the_pets_ends_with_its_place(line: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=words):
        read("oxford_pets", pets(tmp_path, line))


@pytest.mark.parametrize("form", ["txt", "json"])
def test_dishes_are_classes_in_the_order_of_their_names(form: str, tmp_path: Path) -> None:
    photos = {"ramen": ["ramen/7"], "baklava": ["baklava/2", "baklava/3"]}
    train = photos if form == "json" else "ramen/7\nbaklava/2\nbaklava/3\n"
    test = {"ramen": ["ramen/8"]} if form == "json" else "ramen/8\n"

    reading = read("food101", food(tmp_path, train, test))

    assert reading.class_names == ("baklava", "ramen")
    assert {(r.image, r.label) for r in reading.records} == {
        ("ramen/7.jpg", 1), ("baklava/2.jpg", 0), ("baklava/3.jpg", 0), ("ramen/8.jpg", 1),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("train", "words"),
    [
        ("ramen", "train.txt:1 is 'ramen', not like 'apple_pie/1005649'"),
        ("ramen/1\n/2", "train.txt:2 is '/2', not like"),
        ([1], "not an object with a list of photos for each dish"),
        ({"ramen": [7]}, r"train.json: ramen\[0\] is '7', not like"),
    ],
)
def test_a_broken_list_of_dishes_ends_with_its_place(train: object, words: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=words):
        read("food101", food(tmp_path, train, "ramen/8"))


@pytest.mark.parametrize("name", ["oxford_pets", "food101", "coop_split"])
def test_a_folder_of_something_else_ends_with_what_was_expected(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"Expected there: split_zhou_\*.json"):
        read(name, tmp_path)


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "folder", "counts", "classes"),
    [
        ("food101", "food101_10class", {"train": 640, "val": 160, "test": 600}, 10),
        ("oxford_pets", "oxford_pets", None, 37),
    ],
)
def test_the_real_lists(name: str, folder: str, counts: dict | None, classes: int, real_data: Path) -> None:
    reading = read(name, real_data / folder)

    found = Counter(record.split for record in reading.records)
    assert len(reading.class_names) == classes
    assert found == counts if counts else found["train"] + found["val"] == 1000 and found["test"] == 418
    record = next(iter(reading.records))
    assert (reading.image_root / record.image).is_file()
    assert find_corpus(name).prompts[0].endswith((", a type of food.", ", a type of pet."))
