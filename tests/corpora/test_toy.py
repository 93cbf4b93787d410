"""toy: scenes drawn by a seed; each caption is true of one scene and needs the order of its words."""

import hashlib
from collections import Counter
from pathlib import Path

import numpy
import pytest
from PIL import Image

from mmx.core.discover import find_corpus
from mmx.core.errors import UsageError
from mmx.core.record import Record
from mmx.corpora._toy_drawing import TONES
from mmx.corpora._toy_scenes import Group, Scene

SCENES = 300


def draw(folder: Path, **options: str) -> list[Record]:
    corpus = find_corpus("toy")
    return list(
        corpus.read(folder, {**corpus.options, "scenes": str(SCENES), "size": "64", **options}).records
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("toy")


@pytest.fixture(scope="module")
def records(folder: Path) -> list[Record]:
    return draw(folder)


def scene_of(record: Record) -> Scene:
    return Scene(record.extra["arrangement"], tuple(Group(**group) for group in record.extra["groups"]))


def test_a_seed_gives_the_same_bytes_and_words_again(
    records: list[Record], folder: Path, tmp_path: Path
) -> None:
    again = draw(tmp_path)

    assert again == records
    for record in records:
        first, second = ((place / record.image).read_bytes() for place in (folder, tmp_path))
        assert hashlib.sha256(first).digest() == hashlib.sha256(second).digest()


def test_another_seed_gives_other_scenes(records: list[Record], tmp_path: Path) -> None:
    other = draw(tmp_path, seed="1", scenes="20")

    assert {record.captions for record in other}.isdisjoint(record.captions for record in records)


def test_a_tenth_is_val_and_a_tenth_is_test(records: list[Record]) -> None:
    assert Counter(record.split for record in records) == {"train": 240, "val": 30, "test": 30}


def test_no_two_scenes_mean_the_same(records: list[Record]) -> None:
    assert len({scene_of(record) for record in records}) == SCENES


def test_what_a_pair_says_is_true_of_no_scene_of_three(records: list[Record]) -> None:
    scenes = [scene_of(record) for record in records]
    pairs = {fact for scene in scenes if len(scene.groups) == 2 for fact in scene.facts()}
    parts = {fact for scene in scenes if len(scene.groups) == 3 for fact in scene.facts()}

    assert pairs.isdisjoint(parts)


def test_no_caption_describes_two_pictures(records: list[Record]) -> None:
    captions = [caption for record in records for caption in record.captions]

    assert len(set(captions)) == len(captions)


def test_every_picture_has_five_captions_that_name_all_its_colours(records: list[Record]) -> None:
    for record in records:
        assert len(record.captions) == 5
        colours = Counter(group.colour for group in scene_of(record).groups)
        for caption in record.captions:
            assert Counter(word for word in caption.split() if word in TONES) == colours


def test_twins_with_swapped_sides_or_colours_stand_in_one_split(records: list[Record]) -> None:
    split = {scene_of(record): record.split for record in records}
    swapped = 0
    for scene, where in split.items():
        if len(scene.groups) == 2:
            first, second = scene.groups
            twins = [
                Scene(scene.arrangement, (second, first)),
                Scene(
                    scene.arrangement,
                    (
                        Group(first.count, second.colour, first.shape),
                        Group(second.count, first.colour, second.shape),
                    ),
                ),
            ]
            found = [split[twin] for twin in twins if twin in split and twin != scene]
            swapped += bool(found)
            assert all(other == where for other in found)

    assert swapped > SCENES / 4


def test_what_is_on_the_left_is_drawn_on_the_left(records: list[Record], folder: Path) -> None:
    seen = 0
    for record in records:
        scene = scene_of(record)
        colours = {group.colour for group in scene.groups}
        if scene.arrangement in {"row", "column"} and colours == {"red", "blue"} and len(scene.groups) == 2:
            axis = 1 if scene.arrangement == "row" else 0
            places = {colour: _centre(folder / record.image, colour)[axis] for colour in colours}
            first, second = (group.colour for group in scene.groups)
            assert places[first] < places[second]
            seen += 1

    assert seen > 2


def _centre(path: Path, colour: str) -> numpy.ndarray:
    pixels = numpy.asarray(Image.open(path)).astype(int)
    return numpy.argwhere(numpy.abs(pixels - TONES[colour]).max(axis=2) < 30).mean(axis=0)


@pytest.mark.parametrize("option", [{"scenes": "3"}, {"scenes": "many"}, {"size": "1"}, {"seed": "-1"}])
def test_an_impossible_option_says_what_is_possible(tmp_path: Path, option: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="whole number from"):
        draw(tmp_path, **option)
