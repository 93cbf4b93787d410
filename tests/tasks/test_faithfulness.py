"""Faithfulness by hand: a score that is the sum of what its regions are worth."""

import pytest
import torch
from torch import Tensor

from mmx.tasks.faithfulness import DRAWS, Drops, compare, measure_drops, said

WORTH = torch.tensor([5.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0])
ALL = torch.ones(10, dtype=torch.bool)


def score(masks: Tensor) -> Tensor:
    """What the regions left are worth together."""
    return masks.float() @ WORTH


def test_masking_the_region_of_all_weight_loses_all_that_it_is_worth() -> None:
    """10, 20, 30 % of ten regions are 1, 2, 3 of them: 5, 5 + 1, 5 + 1 + 1."""
    drops = measure_drops(score, weights=WORTH, mask=ALL, seed=0)

    assert drops.score == 10
    assert drops.top.tolist() == [5, 6, 7]
    assert drops.random.shape == (3, DRAWS)
    assert set(drops.random[0].tolist()) <= {0, 1, 5}


def test_random_regions_lose_their_share_of_the_score_on_average() -> None:
    drops = [measure_drops(score, WORTH, ALL, seed) for seed in range(200)]

    found = compare(drops)

    assert [row.random for row in found.comparisons] == pytest.approx([1, 2, 3], abs=0.1)
    assert all(row.above_random and row.pairs_above == 1 for row in found.comparisons)


def test_weights_that_point_elsewhere_are_not_above_random() -> None:
    found = compare([measure_drops(score, -WORTH, ALL, seed) for seed in range(5)])

    assert [row.top for row in found.comparisons] == [0, 0, 0]
    assert [row.p for row in found.comparisons] == [1, 1, 1]
    assert not any(row.above_random for row in found.comparisons)


def test_a_score_that_no_region_moves_is_not_above_random() -> None:
    found = compare([measure_drops(lambda masks: torch.ones(len(masks)), WORTH, ALL, 0)])

    assert [(row.top, row.random, row.above_random) for row in found.comparisons] == [(0, 0, False)] * 3


def test_regions_that_are_not_there_are_never_masked_and_one_is_always_left() -> None:
    """Three regions: 10 and 20 % are one of them, as 30 % are; of two the second stays."""
    seen: list[Tensor] = []

    def watch(masks: Tensor) -> Tensor:
        seen.append(masks)
        return score(masks)

    for there in (3, 2):
        measure_drops(watch, WORTH.flip(0), torch.arange(10) < there, seed=1)

    assert (seen[0][0].sum(), seen[0][1:].sum(dim=1).unique().tolist()) == (3, [2])
    assert (seen[1][0].sum(), seen[1][1:].sum(dim=1).unique().tolist()) == (2, [1])
    assert not seen[0][:, 3:].any()


def test_a_picture_of_one_region_cannot_be_measured_and_is_counted() -> None:
    assert measure_drops(score, WORTH, torch.arange(10) < 1, seed=0) is None

    found = compare([None, measure_drops(score, WORTH, ALL, 0)])

    assert (found.pairs, found.left_out) == (1, 1)
    assert compare([None]) is None


def test_equal_seeds_give_equal_drops_and_others_others() -> None:
    first, again, other = (measure_drops(score, WORTH, ALL, seed) for seed in (1, 1, 2))

    assert torch.equal(first.random, again.random)
    assert not torch.equal(first.random, other.random)


def test_the_means_of_two_pairs_by_hand() -> None:
    """Draws over the pairs: (0 + 2) / 2 and (4 + 4) / 2; one of two is as large as (3 + 1) / 2."""
    pairs = [
        Drops(1.0, torch.tensor([3.0]), torch.tensor([[0.0, 4.0]])),
        Drops(3.0, torch.tensor([1.0]), torch.tensor([[2.0, 4.0]])),
    ]

    found = compare(pairs, shares=(0.1,))

    row = found.comparisons[0]
    assert (found.score, row.top, row.random, row.pairs_above) == (2, 2, 2.5, 0.5)
    assert row.p == pytest.approx(2 / 3)
    assert found.document()["masked"][0]["above_random"] is False


def test_what_is_found_is_told_share_by_share_and_not_above_random_is_not_hidden() -> None:
    good, bad = (
        compare([measure_drops(score, sign * WORTH, ALL, seed) for seed in range(5)]) for sign in (1, -1)
    )

    lines = said(good)
    assert lines[0] == "Faithfulness over 5 pairs with a mean score of 10.000:"
    assert lines[1].startswith("without the 10% of regions with most weight it falls by 5.0000, without as")
    assert lines[1].endswith(": above random (p = 0.048).")
    assert all("NOT above random (p = 1.000)" in line for line in said(bad)[1:])


def test_a_rise_is_called_a_rise_and_pairs_left_out_are_counted() -> None:
    pair = Drops(1.0, torch.tensor([-0.5]), torch.tensor([[0.25]]))

    lines = said(compare([pair, None], shares=(0.1,)))

    assert lines[0].startswith("Faithfulness over 1 pair (1 left out, with fewer than two regions)")
    assert "it rises by 0.5000, without as many random ones it falls by 0.2500" in lines[1]
    assert "cannot be measured" in said(None)[0]
