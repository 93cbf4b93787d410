"""Drawing shots: by seed, as published, from an index; and what never happens to the reported split."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from mmx.core.errors import DataError
from mmx.core.home import Home
from mmx.core.record import Record
from mmx.store.manifest import Manifest, write_manifest
from mmx.workflows.episodes import remarks_on
from mmx.workflows.shots import ShotSource

NAMES = ("cat", "dog", "fox")


def manifest(home: Home, counts: Mapping[str, Sequence[int]], extra: Sequence[int] = ()) -> Manifest:
    """So many pictures of each class in each split; `extra` says of how many shots each training row is."""
    records = {
        split: [
            Record(f"{split}-{label}-{number}", split, f"{split}/{label}/{number}.jpg", label=label)
            for label, count in enumerate(classes)
            for number in range(count)
        ]
        for split, classes in counts.items()
    }
    for shots in extra:
        records["train"] += [
            Record(f"train_{shots}shot-{n:06d}", "train", None, label=n // shots, extra={"shots": shots})
            for n in range(3 * shots)
        ]
    return write_manifest(home.dataset("pets"), "pets", home.root, records, NAMES)


def source(found: Manifest, labels: Mapping[int, int] | None = None, index: Path | None = None) -> ShotSource:
    labels = {0: 0, 1: 1, 2: 2} if labels is None else labels
    return ShotSource(found, labels, tuple(NAMES[label] for label in labels), index)


def write_index(path: Path, train: Sequence[tuple[str, int]], val: Sequence[tuple[str, int]] = ()) -> Path:
    parts = {"train": train, "val": val}
    said = {
        part: {
            "data": [{"impath": image, "label": label, "classname": NAMES[label]} for image, label in rows]
        }
        for part, rows in parts.items()
    }
    path.write_text(json.dumps(said))
    return path


def test_each_class_gives_its_shots_and_at_most_four_to_choose_on(home: Home) -> None:
    shots = source(manifest(home, {"train": (20, 20, 20), "val": (9, 9, 9), "test": (2, 2, 2)}))

    for count in (1, 4, 16):
        drawn = shots.draw(count, 1)
        assert Counter(shots.classes(drawn.train)) == dict.fromkeys(range(3), count)
        assert Counter(shots.classes(drawn.val)) == dict.fromkeys(range(3), min(count, 4))
        assert {split for split, _ in drawn.train} == {"train"} and {split for split, _ in drawn.val} == {
            "val"
        }
        assert not drawn.short and not drawn.short_val and drawn.source == "by seed"


def test_a_seed_draws_the_same_and_another_draws_others(home: Home) -> None:
    shots = source(manifest(home, {"train": (20, 20, 20), "val": (9, 9, 9)}))

    assert shots.draw(4, 1) == shots.draw(4, 1)
    assert set(shots.draw(4, 1).train) != set(shots.draw(4, 2).train)
    assert set(shots.draw(4, 1).val) != set(shots.draw(4, 2).val)


def test_fewer_shots_are_among_more(home: Home) -> None:
    shots = source(manifest(home, {"train": (20, 20, 20), "val": (9, 9, 9)}))

    few, many = shots.draw(2, 3), shots.draw(8, 3)

    assert set(few.train) < set(many.train) and set(few.val) < set(many.val)


def test_what_lacks_is_counted(home: Home) -> None:
    drawn = source(manifest(home, {"train": (20, 3, 5), "val": (9, 1, 0)})).draw(8, 1)

    assert drawn.short == {"dog": 3, "fox": 5} and drawn.short_val == 2
    said = remarks_on({(8, 1): drawn, (8, 2): drawn})
    assert len(said) == 3
    assert said[2].startswith("1 class has no validation picture ('fox'): nothing asks after them")
    assert said[2].endswith("mmx prepare NAME --raw FOLDER --set shares=60/20/20")
    assert "2 classes have fewer than 8 training pictures" in said[0] and "'dog' with 3" in said[0]


def test_without_val_there_is_nothing_to_choose_on_and_that_is_said(home: Home) -> None:
    drawn = source(manifest(home, {"train": (5, 5, 5), "test": (1, 1, 1)})).draw(4, 1)

    assert not drawn.val
    assert remarks_on({(4, 1): drawn}) == [
        "there are no validation pictures for 4 shots: nothing can be chosen on them"
    ]


def test_a_class_without_a_training_picture_is_named(home: Home) -> None:
    with pytest.raises(DataError, match=r"class 'fox' of 'pets' has no picture.*\(1 of 3 classes"):
        source(manifest(home, {"train": (5, 5, 0), "val": (1, 1, 1)})).draw(4, 1)


def test_classes_that_are_left_aside_give_nothing(home: Home) -> None:
    shots = source(manifest(home, {"train": (5, 5, 5), "val": (2, 2, 2)}), labels={2: 0, 0: 1})

    drawn = shots.draw(4, 1)

    assert Counter(shots.classes(drawn.train)) == {0: 4, 1: 4}
    assert len(shots.places("val")) == 4


def test_published_shots_are_taken_whole_whatever_the_seed(home: Home) -> None:
    shots = source(manifest(home, {"train": (0, 0, 0), "val": (9, 9, 9)}, extra=(1, 4)))

    one, two = shots.draw(4, 1), shots.draw(4, 2)

    assert one.train == two.train and len(one.train) == 12 and one.val != two.val
    assert one.source == "train as published, val by seed"
    with pytest.raises(DataError, match=r"no features of 8 shots. It has those of 1, 4: --shots 4"):
        shots.draw(8, 1)


def test_an_index_names_each_picture_whatever_folder_its_path_begins_with(home: Home, tmp_path: Path) -> None:
    found = manifest(home, {"train": (5, 5, 5), "val": (2, 2, 2)})
    rows = [(f"/data/oxford_pets/images/train/{label}/3.jpg", label) for label in range(3)]
    index = write_index(tmp_path / "a.json", rows, [("images\\val\\1\\1.jpg", 1)])

    shots = source(found, index=index)
    drawn = shots.draw(1, 1)

    assert [shots._record(place).id for place in drawn.train] == ["train-0-3", "train-1-3", "train-2-3"]
    assert [shots._record(place).id for place in drawn.val] == ["val-1-1"]
    assert drawn.source == "index 'a.json'"


@pytest.mark.parametrize("place", [".", "pets"])
def test_a_folder_of_indexes_is_looked_through_by_shots_and_seed(
    home: Home, tmp_path: Path, place: str
) -> None:
    found = manifest(home, {"train": (5, 5, 5)})
    (tmp_path / "few" / place).mkdir(parents=True, exist_ok=True)
    for seed in (1, 2):
        rows = [(f"train/{label}/{seed}.jpg", label) for label in range(3)]
        write_index(tmp_path / "few" / place / f"shot_1-seed_{seed}.json", rows)

    shots = source(found, index=tmp_path / "few")

    assert {shots._record(found).id for found in shots.draw(1, 2).train} == {f"train-{n}-2" for n in range(3)}
    with pytest.raises(DataError, match=r"there is no index '.*shot_1-seed_3.json'"):
        shots.draw(1, 3)


def test_an_index_never_reaches_into_the_reported_split(home: Home, tmp_path: Path) -> None:
    found = manifest(home, {"train": (1, 1, 1), "test": (1, 1, 1)})
    index = write_index(tmp_path / "a.json", [("test/0/0.jpg", 0)])

    with pytest.raises(DataError, match="which is in neither train nor val of 'pets'"):
        source(found, index=index).draw(1, 1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "cannot be read"),
        ("[]", "is not an index"),
        ('{"train": {"data": {}}, "val": {"data": []}}', "lacks a list in train.data"),
        ('{"train": {"data": [7]}, "val": {"data": []}}', "has an entry '7' without impath"),
        (
            '{"train": {"data": [{"impath": "train/0/0.jpg", "label": 2}]}, "val": {"data": []}}',
            "the label '2', and 'pets' has '0'",
        ),
    ],
)
def test_an_index_in_another_form_ends_with_what_is_wrong(
    home: Home, tmp_path: Path, text: str, said: str
) -> None:
    found = manifest(home, {"train": (1, 1, 1)})
    (tmp_path / "a.json").write_text(text)

    with pytest.raises(DataError, match=said):
        source(found, index=tmp_path / "a.json").draw(1, 1)
