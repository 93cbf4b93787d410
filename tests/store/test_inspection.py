"""inspect_picture and near_duplicates: copies are found however they were saved, strangers are not."""

import random
from pathlib import Path

import numpy
import pytest
from PIL import Image

from mmx.store.images import ImageError
from mmx.store.inspection import MAX_BITS, PictureFacts, groups_of, inspect_picture, near_duplicates


def landscape(seed: int) -> Image.Image:
    values = numpy.random.default_rng(seed).integers(60, 200, (9, 12, 3), dtype=numpy.uint8)
    return Image.fromarray(values).resize((480, 360), Image.Resampling.BICUBIC)


def test_a_smaller_copy_of_other_quality_is_a_near_duplicate(tmp_path: Path) -> None:
    for seed in range(3):
        landscape(seed).save(tmp_path / f"{seed}.jpg", quality=95)
    landscape(1).resize((200, 150)).save(tmp_path / "copy.jpg", quality=60)

    facts = [inspect_picture(tmp_path / name) for name in ("0.jpg", "1.jpg", "2.jpg", "copy.jpg")]

    assert near_duplicates(facts) == [(1, 3)]
    assert (facts[1].width, facts[1].height) == (480, 360)


def test_equal_bytes_are_exact_and_not_near_duplicates(tmp_path: Path) -> None:
    landscape(0).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes())

    facts = [inspect_picture(tmp_path / name) for name in ("a.png", "b.png")]

    assert facts[0].digest == facts[1].digest
    assert near_duplicates(facts) == []


def test_flat_pictures_of_different_colours_are_strangers(tmp_path: Path) -> None:
    for colour in ("red", "blue"):
        Image.new("RGB", (64, 64), colour).save(tmp_path / f"{colour}.png")

    assert near_duplicates([inspect_picture(tmp_path / f"{colour}.png") for colour in ("red", "blue")]) == []


def test_the_bands_find_every_pair_that_a_plain_loop_finds() -> None:
    chance = random.Random(0)
    gradients = [chance.getrandbits(64) for _ in range(150)]
    for base in gradients[:50]:
        flips = chance.sample(range(64), chance.randint(1, MAX_BITS + 3))
        gradients.append(base ^ sum(1 << bit for bit in flips))
    facts = [PictureFacts(9, 9, str(place), bits, bytes(192)) for place, bits in enumerate(gradients)]

    by_hand = [
        (left, right)
        for left in range(len(facts))
        for right in range(left + 1, len(facts))
        if (gradients[left] ^ gradients[right]).bit_count() <= MAX_BITS
    ]

    assert near_duplicates(facts) == by_hand


def test_a_picture_that_cannot_be_read_has_no_facts(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"no")

    with pytest.raises(ImageError):
        inspect_picture(tmp_path / "a.jpg")


def test_groups_are_those_that_share_a_key() -> None:
    assert groups_of(["a", "b", "a", "c", "b", "a"]) == [[0, 2, 5], [1, 4]]
