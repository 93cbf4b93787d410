"""seeded_split: a pure function of seed and names."""

from collections import Counter

import pytest

from mmx.core.seeded_split import seeded_order, seeded_split

NAMES = [f"image {number}" for number in range(200)]


def test_shares_are_kept() -> None:
    assert Counter(seeded_split(NAMES, 0).values()) == {"train": 160, "val": 20, "test": 20}


def test_the_order_in_which_names_come_does_not_matter() -> None:
    assert seeded_split(NAMES, 3) == seeded_split(NAMES[::-1], 3)


def test_another_seed_gives_another_split() -> None:
    assert seeded_split(NAMES, 0) != seeded_split(NAMES, 1)


@pytest.mark.parametrize("size", range(3, 12))
def test_no_split_with_a_share_is_empty_from_three_names_on(size: int) -> None:
    assert set(seeded_split(NAMES[:size], 0).values()) == {"train", "val", "test"}


@pytest.mark.parametrize("size", range(3))
def test_very_few_names_are_all_placed(size: int) -> None:
    assert set(seeded_split(NAMES[:size], 0)) == set(NAMES[:size])


def test_a_split_without_a_share_stays_empty() -> None:
    shares = {"train": 0.5, "val": 0.0, "test": 0.5}

    assert Counter(seeded_split(NAMES, 0, shares).values()) == {"train": 100, "test": 100}


@pytest.mark.parametrize("size", range(1, 9))
def test_small_shares_of_train_never_leave_it_empty(size: int) -> None:
    given = Counter(seeded_split(NAMES[:size], 0, {"train": 0.1, "val": 0.45, "test": 0.45}).values())

    assert given["train"] >= 1 and given.total() == size
    assert size < 3 or len(given) == 3


def test_the_order_holds_every_name_once() -> None:
    assert sorted(seeded_order([*NAMES, *NAMES], 5)) == sorted(NAMES)
