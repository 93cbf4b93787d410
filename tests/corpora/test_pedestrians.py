"""pedestrians: drawn people, no two alike, split by identity, the same for the same seed."""

import hashlib
import random
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from mmx.core.corpus import Reading
from mmx.core.discover import find_corpus
from mmx.core.errors import UsageError
from mmx.corpora._pedestrian_captions import SHADES, describe
from mmx.corpora._pedestrian_drawing import draw
from mmx.corpora._pedestrian_people import PersonSource
from mmx.corpora.pedestrians import split_sizes


def read(raw: Path | None, **options: str) -> Reading:
    corpus = find_corpus("pedestrians")
    small = {"identities": "24", "crops": "2", "height": "96"}
    return corpus.read(raw, {**corpus.options, **small, **options})


def test_four_hundred_people_of_four_crops_are_what_is_drawn_by_default() -> None:
    options = find_corpus("pedestrians").options

    assert (options["identities"], options["crops"]) == ("400", "4")
    assert split_sizes(400) == {"train": 280, "val": 40, "test": 80}


def test_every_identity_has_its_crops_in_one_split_with_two_captions_each(tmp_path: Path) -> None:
    records = list(read(tmp_path).records)

    assert Counter(record.identity for record in records) == dict.fromkeys(range(24), 2)
    assert all(len(set(record.captions)) == 2 for record in records)
    split = {record.identity: record.split for record in records}
    assert all(split[record.identity] == record.split for record in records)
    assert Counter(split.values()) == {"train": 18, "val": 2, "test": 4}
    with Image.open(tmp_path / records[0].image) as picture:
        assert picture.size == (32, 96)


def test_people_come_in_pairs_that_swap_the_colours_of_their_clothing() -> None:
    source = PersonSource(0).pairs()
    people = [person for _ in range(200) for person in next(source)]

    assert len(set(people)) == 400
    for one, other in zip(people[::2], people[1::2], strict=True):
        assert (one.upper_colour, one.lower_colour) == (other.lower_colour, other.upper_colour)
        assert one.upper_colour != one.lower_colour
        assert (one.upper, one.lower, one.hair, one.bag) == (other.upper, other.lower, other.hair, other.bag)


def test_a_caption_tells_both_colours_and_only_what_is_true() -> None:
    source, chance = PersonSource(1).pairs(), random.Random(0)
    for person in [person for _ in range(40) for person in next(source)]:
        for caption in describe(person, 2, chance):
            words = caption.split()
            said = [
                words.index(shade.split()[-1])
                for colour in (person.upper_colour, person.lower_colour)
                for shade in SHADES.get(colour, (colour,))
                if shade.split()[-1] in words
            ]
            assert len(said) >= 2
            assert "bag" not in caption or person.bag != "none" or "no bag" in caption
            assert len(words) <= 40 and caption == caption.lower()


def test_equal_seeds_draw_equal_people_and_others_do_not(tmp_path: Path) -> None:
    found = []
    for folder, seed in (("a", "0"), ("b", "0"), ("c", "1")):
        (tmp_path / folder).mkdir()
        records = list(read(tmp_path / folder, identities="12", seed=seed).records)
        pictures = b"".join((tmp_path / folder / record.image).read_bytes() for record in records)
        found.append((hashlib.sha256(pictures).hexdigest(), [record.captions for record in records]))

    assert found[0] == found[1] and found[0] != found[2]


def test_crops_of_one_person_differ_in_pose_and_background() -> None:
    person, _ = next(PersonSource(2).pairs())

    crops = [draw(person, 96, random.Random(seed)).tobytes() for seed in range(6)]

    assert len(set(crops)) == 6


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"identities": "10"}, "from 12 to 10000"),
        ({"identities": "13"}, "identities=13 is odd.*Take 14"),
        ({"crops": "0"}, "crops='0'"),
        ({"height": "x"}, "height='x'"),
        ({"seed": "-1"}, "seed='-1'"),
    ],
)
def test_numbers_that_cannot_be_are_refused(options: dict[str, str], words: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=words):
        list(read(tmp_path, **options).records)
