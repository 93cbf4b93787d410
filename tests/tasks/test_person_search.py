"""Person search: Rank-k, mAP and mINP by hand, against a slow loop, with ties, and in bounded memory."""

import json
import subprocess
import sys
import zlib
from pathlib import Path

import numpy
import pytest
import torch
from torch import Tensor

from mmx.tasks.person_search import METRICS, person_metrics
from mmx.tasks.rank_lists import Places
from mmx.tasks.rank_sums import RankSums
from mmx.tasks.recall import Ranks
from mmx.tasks.rerank import FirstStage, rerank
from mmx.tasks.resampling import intervals, paired_test
from mmx.tasks.retrieval import definitions, primary_metric, retrieval_metrics


def first_of(image: Tensor, text: Tensor, image_group: list[int], text_group: list[int]) -> FirstStage:
    return FirstStage.of(image, text, torch.tensor(image_group), torch.tensor(text_group), lists=True)


def of_scores(scores: list[list[float]], image_group: list[int], text_group: list[int]) -> FirstStage:
    """Captions whose cosines with the images are these."""
    return first_of(torch.eye(len(image_group)), torch.tensor(scores), image_group, text_group)


def slow(scores: Tensor, image_group: Tensor, text_group: Tensor) -> dict[str, float]:
    """One caption after the other, sorting its images; wrong ones first among equals."""
    found = []
    for row, group in zip(scores.tolist(), text_group.tolist(), strict=True):
        order = sorted(range(len(row)), key=lambda image: (-row[image], int(image_group[image]) == group))
        hits = [place for place, image in enumerate(order, start=1) if int(image_group[image]) == group]
        if hits:
            precision = sum(number / place for number, place in enumerate(hits, start=1)) / len(hits)
            found.append([hits[0] <= 1, hits[0] <= 5, hits[0] <= 10, precision, len(hits) / hits[-1]])
    return dict(zip(METRICS, (100 * numpy.array(found, dtype=float)).mean(0).tolist(), strict=True))


def test_two_right_images_at_places_one_and_three() -> None:
    """AP = (1/1 + 2/3) / 2 = 5/6; INP = 2/3."""
    metrics = person_metrics(of_scores([[0.9, 0.5, 0.7, 0.1]], [1, 1, 2, 3], [1]).ranks)

    assert metrics == pytest.approx(
        {"rank@1": 100, "rank@5": 100, "rank@10": 100, "map": 500 / 6, "minp": 200 / 3}
    )


def test_neither_of_precision_and_inverse_bounds_the_other() -> None:
    """Right at places 10 and 11: AP = (1/10 + 2/11) / 2 = .141, INP = 2/11 = .182."""
    row = [1 - place / 20 for place in range(12)]

    metrics = person_metrics(of_scores([row], [0] * 9 + [1, 1, 0], [1]).ranks)

    assert metrics["map"] == pytest.approx(50 * (1 / 10 + 2 / 11))
    assert metrics["minp"] == pytest.approx(200 / 11)
    assert (metrics["rank@5"], metrics["rank@10"]) == (0, 100)


def test_with_one_right_image_a_caption_both_are_one_over_its_place() -> None:
    random = torch.Generator().manual_seed(0)
    scores = torch.rand(30, 20, generator=random)
    first = first_of(torch.eye(20), scores, list(range(20)), [place % 20 for place in range(30)])

    places = 1 + first.ranks.t2i.double()

    torch.testing.assert_close(first.ranks.lists.precision, 1 / places)
    torch.testing.assert_close(first.ranks.lists.inverse, 1 / places)


@pytest.mark.parametrize("seed", range(8))
def test_the_numbers_are_those_of_a_slow_loop(seed: int) -> None:
    """Few different values, so that most scores are ties; some captions have no right image."""
    random = torch.Generator().manual_seed(seed)
    image = torch.randint(-2, 3, (40, 3), generator=random).float()
    text = torch.randint(-2, 3, (60, 3), generator=random).float()
    groups = [torch.randint(0, 9, (count,), generator=random) for count in (40, 60)]
    groups[1][0] = 99

    ranks = FirstStage.of(image, text, *groups, lists=True).ranks

    assert person_metrics(ranks) == pytest.approx(slow(text @ image.T, *groups))
    assert ranks.dropped["t2i"] >= 1 and ranks.lists.precision[0].isnan()


def test_a_model_that_says_the_same_of_everything_scores_nothing() -> None:
    first = first_of(torch.ones(300, 8), torch.ones(50, 8), [row // 3 for row in range(300)], list(range(50)))

    metrics = person_metrics(first.ranks)

    assert (metrics["rank@1"], metrics["rank@5"], metrics["rank@10"]) == (0, 0, 0)
    assert metrics["map"] < 1 and metrics["minp"] == pytest.approx(100 * 3 / 300)


def test_the_order_of_captions_and_images_changes_nothing() -> None:
    random = torch.Generator().manual_seed(1)
    image, text = torch.randn(50, 6, generator=random), torch.randn(30, 6, generator=random)
    groups = torch.arange(50) // 5, torch.arange(30) // 3
    rows, captions = torch.randperm(50, generator=random), torch.randperm(30, generator=random)

    shuffled = FirstStage.of(image[rows], text[captions], groups[0][rows], groups[1][captions], lists=True)

    straight = FirstStage.of(image, text, *groups, lists=True)
    assert person_metrics(shuffled.ranks) == person_metrics(straight.ranks)


def test_data_with_identities_have_their_own_numbers_words_and_choice() -> None:
    lists = of_scores([[0.9, 0.5]], [1, 2], [1]).ranks
    plain = Ranks(lists.i2t, lists.t2i)

    assert tuple(retrieval_metrics(lists)) == METRICS and "rsum" in retrieval_metrics(plain)
    assert (primary_metric(lists), primary_metric(plain)) == ("map", "rsum")
    assert "minp" in definitions(lists) and "rsum" in definitions(plain)


def test_lists_that_were_not_counted_or_hold_nothing_right_are_refused() -> None:
    with pytest.raises(ValueError, match="were not counted"):
        person_metrics(Ranks(torch.zeros(1), torch.zeros(1)))
    with pytest.raises(ValueError, match="no t2i query has a right answer"):
        person_metrics(of_scores([[0.9, 0.5]], [1, 2], [3]).ranks)


@pytest.mark.parametrize("top", [1, 3, 7, None])
@pytest.mark.parametrize("seed", range(3))
def test_ranking_again_moves_whole_lists_as_a_slow_loop_does(seed: int, top: int | None) -> None:
    random = torch.Generator().manual_seed(seed)
    image = torch.randint(-2, 3, (12, 2), generator=random).float()
    text = torch.randint(-2, 3, (15, 2), generator=random).float()
    groups = [torch.randint(0, 4, (count,), generator=random) for count in (12, 15)]
    fine = torch.randint(0, 3, (15, 12), generator=random).float()
    first = FirstStage.of(image, text, *groups, lists=True)

    (found,) = rerank(first, lambda images, texts: fine[texts][:, images], [1.5], top)

    cosine = text.double() @ image.double().T
    right = groups[1][:, None] == groups[0]
    nearest = (cosine - 1e-9 * right).sort(dim=1, descending=True, stable=True).indices[:, : top or 12]
    near = torch.zeros_like(right).scatter_(1, nearest, True)
    # far below, in the order of the first stage
    sums = torch.where(near, cosine + 1.5 * fine, cosine - 100)
    assert person_metrics(found) == pytest.approx(slow(sums, *groups))


def test_a_weight_of_nothing_keeps_every_list() -> None:
    first = first_of(
        torch.randn(30, 4),
        torch.randn(20, 4),
        [row // 3 for row in range(30)],
        [row // 2 for row in range(20)],
    )

    for top in (1, 5, None):
        (found,) = rerank(first, lambda images, texts: torch.randn(len(texts), len(images)), [0.0], top)
        assert person_metrics(found) == person_metrics(first.ranks)


def test_intervals_hold_the_numbers_and_a_run_does_not_differ_from_itself() -> None:
    random = torch.Generator().manual_seed(2)
    text_group = torch.arange(120) // 4
    image = torch.randn(90, 5, generator=random)
    text = image[torch.arange(120) * 3 // 4] + 0.8 * torch.randn(120, 5, generator=random)
    groups = torch.arange(90) // 3, text_group
    ranks = FirstStage.of(image, text, *groups, lists=True).ranks

    found, metrics = intervals([RankSums(ranks, *groups)]), person_metrics(ranks)
    sums = RankSums(ranks, *groups)
    same = paired_test([sums], [sums], resamples=50, permutations=19)

    assert tuple(found) == METRICS
    assert all(low <= metrics[name] <= high for name, (low, high) in found.items())
    assert all((test.difference, test.p) == (0, 1) for test in same.values())


def test_lists_and_first_answers_cannot_be_compared() -> None:
    ranks = of_scores([[0.9, 0.5]], [1, 2], [1]).ranks
    groups = torch.tensor([1, 2]), torch.tensor([1])

    firsts = RankSums(Ranks(ranks.i2t, ranks.t2i), *groups)
    with pytest.raises(ValueError, match="different items"):
        paired_test([RankSums(ranks, *groups)], [firsts])


def test_places_that_move_are_only_those_that_are_named() -> None:
    places = Places(torch.tensor([0, 0, 1]), torch.tensor([2, 5, 1]), torch.tensor([7, 8, 9]))

    moved = places.moved(torch.tensor([1, 0]), torch.tensor([1, 5]), torch.tensor([0, 3]))

    assert moved.before.tolist() == [7, 3, 0]


PROBE = """
import resource, sys, torch
from mmx.tasks.rerank import FirstStage
torch.set_num_threads(1)
size = int(sys.argv[1])
image, text = torch.randn(size, 8), torch.randn(size, 8)
group = torch.arange(size) // 20
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
FirstStage.of(image, text, group, group, lists=True)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


def test_a_gallery_of_thousands_is_never_held_as_a_table_of_scores() -> None:
    """4,000 x 4,000 scores of eight bytes would be 122 MiB; the blocks are 240 rows of them."""
    done = subprocess.run([sys.executable, "-c", PROBE, "4000"], capture_output=True, text=True, check=True)

    assert float(done.stdout) < 80


@pytest.mark.real_data
def test_the_real_test_captions_of_cuhk_pedes_score_as_a_slow_loop_says(real_data: Path) -> None:
    """3,074 crops of 1,000 people: a caption of each against all of them, by chance and all the same."""
    rows = json.loads((real_data / "cuhk_pedes_sample" / "reid_raw.valtest.json").read_text())
    people = [row for row in rows if row["split"] == "test"]
    group = torch.tensor([row["id"] for row in people])
    seeds = [zlib.crc32(row["captions"][0].encode()) for row in people]
    text = torch.stack([torch.randn(16, generator=torch.Generator().manual_seed(seed)) for seed in seeds])
    image = torch.randn(len(people), 16, generator=torch.Generator().manual_seed(0))
    assert len(people) == 3_074

    drawn = person_metrics(FirstStage.of(image, text, group, group, lists=True).ranks)
    constant = FirstStage.of(torch.ones_like(image), torch.ones_like(text), group, group, lists=True).ranks

    some = slice(0, 3_074, 75)
    part = person_metrics(FirstStage.of(image, text[some], group, group[some], lists=True).ranks)
    assert part == pytest.approx(slow(text[some].double() @ image.double().T, group, group[some]))
    assert drawn["rank@1"] < 1
    assert [person_metrics(constant)[name] for name in METRICS[:3]] == [0, 0, 0]
    assert person_metrics(constant)["map"] < 0.1
