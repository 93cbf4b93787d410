"""Intervals and paired tests: what they cover, how seeds act, and that captions of one image are one draw."""

import numpy
import pytest
import torch

from mmx.tasks import resampling
from mmx.tasks.rank_sums import METRICS, RankSums
from mmx.tasks.recall import Ranks, recall_metrics
from mmx.tasks.resampling import Difference

IMAGES, CAPTIONS = 200, 5
GROUPS = torch.arange(IMAGES), torch.arange(IMAGES).repeat_interleave(CAPTIONS)


def drawn(seed: int, chance: float = 0.5, images: int = IMAGES, alike: bool = False) -> Ranks:
    """Ranks 0 by chance, else 20; `alike` gives all captions of an image one fate."""
    random = torch.Generator().manual_seed(seed)
    i2t = torch.rand(images, generator=random) < chance
    t2i = torch.rand(images * CAPTIONS, generator=random) < chance
    if alike:
        t2i = t2i[::CAPTIONS].repeat_interleave(CAPTIONS)
    return Ranks(torch.where(i2t, 0, 20), torch.where(t2i, 0, 20))


def intervals(
    ranks: Ranks, image_group: torch.Tensor, text_group: torch.Tensor, resamples: int = 2_000, seed: int = 0
) -> dict[str, tuple[float, float]]:
    return resampling.intervals([RankSums(ranks, image_group, text_group)], resamples, seed)


def paired_test(
    ranks: Ranks,
    other: Ranks,
    image_group: torch.Tensor,
    text_group: torch.Tensor,
    resamples: int = 2_000,
    permutations: int = 9_999,
) -> dict[str, Difference]:
    ours, theirs = (RankSums(found, image_group, text_group) for found in (ranks, other))
    return resampling.paired_test([ours], [theirs], resamples, permutations)


def width(interval: tuple[float, float]) -> float:
    return interval[1] - interval[0]


def test_the_interval_holds_the_value_and_has_the_width_of_the_normal_law() -> None:
    """200 independent queries at 50%: the standard error is 3.54 points, the 95% interval 13.9 wide."""
    ranks = drawn(0)

    found, metrics = intervals(ranks, *GROUPS), recall_metrics(ranks)

    assert found.keys() == set(METRICS)
    assert all(low <= metrics[name] <= high for name, (low, high) in found.items())
    assert width(found["i2t_recall@1"]) == pytest.approx(13.9, abs=1.0)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    covered = [
        low <= 50.0 <= high
        for low, high in (intervals(drawn(s), *GROUPS, 400)["t2i_recall@1"] for s in range(80))
    ]

    assert sum(covered) >= 70


def test_captions_that_share_the_fate_of_their_image_widen_the_interval() -> None:
    """Five equal captions are one draw: the interval is sqrt(5) times that of independent ones."""
    alike, apart = drawn(1, alike=True), drawn(1)

    ratio = width(intervals(alike, *GROUPS)["t2i_recall@1"]) / width(
        intervals(apart, *GROUPS)["t2i_recall@1"]
    )

    assert ratio == pytest.approx(5**0.5, rel=0.15)


def test_equal_seeds_give_equal_intervals_and_others_do_not() -> None:
    ranks = drawn(2)

    assert intervals(ranks, *GROUPS, seed=3) == intervals(ranks, *GROUPS, seed=3)
    assert intervals(ranks, *GROUPS, seed=3) != intervals(ranks, *GROUPS, seed=4)


def test_a_perfect_model_has_an_interval_of_no_width() -> None:
    perfect = Ranks(torch.zeros(IMAGES).long(), torch.zeros(IMAGES * CAPTIONS).long())

    assert intervals(perfect, *GROUPS)["rsum"] == (600.0, 600.0)


def test_dropped_queries_take_no_part() -> None:
    ranks = drawn(5)
    longer = Ranks(torch.cat([ranks.i2t, torch.tensor([-1])]), ranks.t2i)

    found = paired_test(longer, longer, torch.arange(IMAGES + 1), GROUPS[1])

    assert found["i2t_recall@1"].difference == 0.0
    low, high = intervals(longer, torch.arange(IMAGES + 1), GROUPS[1])["i2t_recall@1"]
    assert low < recall_metrics(ranks)["i2t_recall@1"] < high


def test_a_run_against_itself_differs_by_nothing() -> None:
    ranks = drawn(6)

    for test in paired_test(ranks, ranks, *GROUPS, permutations=99).values():
        assert (test.difference, test.low, test.high, test.p) == (0.0, 0.0, 0.0, 1.0)


def test_swapping_the_runs_turns_the_sign_and_keeps_p() -> None:
    first, second = drawn(7), drawn(8, 0.6)

    there, back = paired_test(first, second, *GROUPS), paired_test(second, first, *GROUPS)

    for name in METRICS:
        assert there[name].difference == pytest.approx(-back[name].difference)
        assert there[name].p == back[name].p
        assert (there[name].low, there[name].high) == pytest.approx(
            (-back[name].high, -back[name].low), abs=0.6
        )


def test_the_difference_is_that_of_the_metrics() -> None:
    first, second = drawn(9), drawn(10, 0.7)

    found = paired_test(first, second, *GROUPS, permutations=99)

    for name in METRICS:
        assert found[name].difference == pytest.approx(
            recall_metrics(first)[name] - recall_metrics(second)[name]
        )


def test_without_a_true_difference_p_is_spread_evenly() -> None:
    """80 pairs of models of equal skill: about half of the p lie below 0.5 and few below 0.05."""
    tests = (paired_test(drawn(2 * s), drawn(2 * s + 1), *GROUPS, 10, 199) for s in range(100, 180))
    p = numpy.array([test["rsum"].p for test in tests])

    assert 0.3 < (p < 0.5).mean() < 0.7
    assert (p < 0.05).mean() < 0.15


def test_a_planted_difference_is_found() -> None:
    worse = drawn(11)
    better = Ranks(worse.i2t.clone(), worse.t2i.clone())
    better.i2t[:60] = 0

    test = paired_test(better, worse, *GROUPS)["i2t_recall@1"]

    assert test.p < 0.001
    assert test.low > 0.0


def test_p_of_two_images_worked_by_hand() -> None:
    """Both images change for the better: of the four sign patterns two are as extreme, so p nears a half."""
    groups = torch.arange(2), torch.arange(2)
    better, worse = (
        Ranks(torch.zeros(2).long(), torch.zeros(2).long()),
        Ranks(torch.ones(2).long(), torch.ones(2).long()),
    )

    test = paired_test(better, worse, *groups)["i2t_recall@1"]

    assert test.difference == 100.0
    assert test.p == pytest.approx(0.5, abs=0.02)


def test_runs_over_different_queries_are_refused() -> None:
    ranks, longer = drawn(12), drawn(12, images=IMAGES + 1)
    dropped = Ranks(ranks.i2t.clone(), ranks.t2i)
    dropped.i2t[0] = -1

    with pytest.raises(ValueError, match="201 ranks of i2t have 200 groups"):
        paired_test(ranks, longer, *GROUPS)
    with pytest.raises(ValueError, match="different items"):
        paired_test(ranks, dropped, *GROUPS)
