"""Re-ranking: matrices worked by hand, the plain double loop, and laws that no arrangement may break."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from torch import Tensor

from mmx.tasks.recall import Ranks, ranks
from mmx.tasks.rerank import FirstStage, _Scorer, full_ranks, rerank, top_ranks

DIRECTIONS = ("i2t", "t2i")


def of_matrix(fine: Tensor):
    """Looks fine scores [N, C] up."""
    return lambda images, texts: fine[images][:, texts].T


def first_of(scores: list[list[float]], image_group: list[int], text_group: list[int]) -> FirstStage:
    """The first stage whose cosines are the matrix [N, C]: images are unit vectors, captions its columns."""
    matrix = torch.tensor(scores)
    return FirstStage.of(
        torch.eye(len(matrix)), matrix.T, torch.tensor(image_group), torch.tensor(text_group)
    )


def lists(found: Ranks) -> tuple[list[int], list[int]]:
    return found.i2t.tolist(), found.t2i.tolist()


def drawn(seed: int, whole: bool) -> tuple[FirstStage, Tensor]:
    """A first stage and fine scores [N, C]: small whole numbers with many ties, or of every size."""
    random = torch.Generator().manual_seed(seed)

    def number(low: int, high: int) -> int:
        return int(torch.randint(low, high, (), generator=random))

    def values(*shape: int) -> Tensor:
        if whole:
            return torch.randint(-2, 3, shape, generator=random).float()
        return torch.randn(shape, generator=random)

    images, captions, width = number(1, 15), number(1, 40), number(1, 6)
    groups = (
        torch.randint(0, max(images - 2, 1), (images,), generator=random),
        torch.randint(0, images + 2, (captions,), generator=random),
    )
    return FirstStage.of(values(images, width), values(captions, width), *groups), values(images, captions)


def plain_loop(first: FirstStage, fine: Tensor, weight: float, top: int | None) -> tuple[list[int], ...]:
    """The definition, one query at a time."""
    cosine = first.image.double() @ first.text.double().T
    relevant = first.image_group[:, None] == first.text_group[None, :]
    return tuple(
        [
            _plain_rank(row.tolist(), extra.tolist(), right.tolist(), weight, top)
            for row, extra, right in zip(*sides, strict=True)
        ]
        for sides in ((cosine, fine, relevant), (cosine.T, fine.T, relevant.T))
    )


def _plain_rank(
    cosine: list[float], fine: list[float], right: list[bool], weight: float, top: int | None
) -> int:
    """Wrong answers before right ones on a tie, in both stages."""
    if not any(right):
        return -1
    order = sorted(range(len(cosine)), key=lambda place: (-cosine[place], right[place], place))
    near = order[:top]
    again = sorted(near, key=lambda place: (-(cosine[place] + weight * fine[place]), right[place]))
    return [right[place] for place in again + order[len(near) :]].index(True)


def test_fine_scores_turn_an_order_round() -> None:
    """Row 0: 5 + 0 stands above 3 + 1, and under 3 + 2 * 1.5. Columns likewise."""
    first = first_of([[3, 5], [5, 4]], [0, 1], [0, 1])
    fine = torch.tensor([[1.0, 0.0], [0.0, 1.0]])

    before, weak, strong = rerank(first, of_matrix(fine), [0.0, 1.0, 3.0])

    assert lists(before) == ([1, 1], [1, 1])
    assert lists(weak) == ([1, 1], [1, 1])  # 5 against 4, and 5 against 5: a tie counts against
    assert lists(strong) == ([0, 0], [0, 0])


def test_what_is_outside_the_nearest_keeps_its_place_behind_them() -> None:
    """Image 0 has caption 2, third by cosine: no fine score can lift it while only two are ranked again."""
    first = first_of([[9, 8, 7, 6]], [0], [5, 5, 0, 5])
    fine = torch.tensor([[0.0, 0.0, 100.0, 0.0]])

    found = [rerank(first, of_matrix(fine), [1.0], top)[0].i2t.item() for top in (1, 2, 3, 4, None)]

    assert found == [2, 2, 0, 0, 0]


def test_a_wrong_answer_outside_the_nearest_cannot_come_before_a_right_one_inside() -> None:
    first = first_of([[9, 8, 7]], [0], [5, 0, 5])
    fine = torch.tensor([[0.0, 2.0, 100.0]])

    nearest, everything = (rerank(first, of_matrix(fine), [1.0], top)[0] for top in (2, None))

    assert (nearest.i2t.item(), everything.i2t.item()) == (0, 1)


def test_each_direction_has_its_own_nearest() -> None:
    """Caption 1 is nearest to image 0, which is nearest to caption 0: the pair counts for t2i alone."""
    first = first_of([[9, 8], [1, 2]], [0, 1], [0, 1])
    fine = torch.tensor([[0.0, 5.0], [0.0, 9.0]])

    found = rerank(first, of_matrix(fine), [1.0], top=1)[0]

    assert lists(found) == ([0, 0], [0, 1])


def test_embeddings_of_zeros_rank_every_right_answer_behind_all_wrong_ones() -> None:
    first = first_of([[0, 0, 0, 0]], [0], [0, 5, 5, 5])

    found = rerank(first, of_matrix(torch.zeros(1, 4)), [1.0], top=1)[0]

    assert found.i2t.item() == 3


def test_right_answers_do_not_stand_in_each_others_way() -> None:
    first = first_of([[9, 8, 7]], [0], [0, 0, 5])

    found = rerank(first, of_matrix(torch.tensor([[0.0, 5.0, 3.0]])), [1.0], top=2)[0]

    assert found.i2t.item() == 0


@settings(max_examples=60, deadline=None)
@given(
    seed=some.integers(0, 2**31),
    weight=some.sampled_from([-1.0, 0.0, 0.5, 1.0, 3.0]),
    top=some.one_of(some.none(), some.integers(1, 45)),
    pairs=some.sampled_from([1, 7, 64, 10_000]),
)
def test_ranks_are_those_of_the_plain_loop_with_many_ties(
    seed: int, weight: float, top: int | None, pairs: int
) -> None:
    first, fine = drawn(seed, whole=True)

    found = rerank(first, of_matrix(fine), [weight], top, pairs=pairs)[0]

    assert lists(found) == plain_loop(first, fine, weight, top)


@settings(max_examples=40, deadline=None)
@given(seed=some.integers(0, 2**31), whole=some.booleans(), weight=some.floats(-4, 4))
def test_ranking_again_as_many_as_there_are_is_full_scoring(seed: int, whole: bool, weight: float) -> None:
    """Told not to take the short way: both functions are asked."""
    first, fine = drawn(seed, whole)
    scorer = _Scorer(of_matrix(fine), torch.arange(len(first.text)), 50)
    weights = torch.tensor([weight], dtype=torch.float64)
    everything = max(len(first.image), len(first.text))

    (nearest,), (full,) = top_ranks(first, scorer, weights, everything), full_ranks(first, scorer, weights)

    assert lists(nearest) == lists(full)


@settings(max_examples=40, deadline=None)
@given(
    seed=some.integers(0, 2**31),
    whole=some.booleans(),
    top=some.one_of(some.none(), some.integers(1, 20)),
)
def test_weight_zero_is_the_first_stage(seed: int, whole: bool, top: int | None) -> None:
    first, fine = drawn(seed, whole)

    found = rerank(first, of_matrix(fine * 1e6), [0.0], top)[0]

    assert lists(found) == lists(first.ranks)


@settings(max_examples=30, deadline=None)
@given(seed=some.integers(0, 2**31), top=some.one_of(some.none(), some.integers(1, 20)))
def test_the_order_and_size_of_what_is_scored_at_once_change_nothing(seed: int, top: int | None) -> None:
    first, fine = drawn(seed, whole=False)
    order = torch.randperm(len(first.text), generator=torch.Generator().manual_seed(seed))

    one = rerank(first, of_matrix(fine), [0.7], top)[0]
    other = rerank(first, of_matrix(fine), [0.7], top, order, pairs=3)[0]

    assert lists(one) == lists(other)


@pytest.mark.parametrize("top", [None, 10])
def test_each_pair_is_scored_once_for_all_weights(top: int | None) -> None:
    first, fine = drawn(3, whole=False)
    seen = torch.zeros(fine.shape, dtype=torch.int64)

    def counted(images: Tensor, texts: Tensor) -> Tensor:
        seen[images[:, None], texts] += 1
        return of_matrix(fine)(images, texts)

    found = rerank(first, counted, [0.0, 0.5, 1.0], top)

    assert [lists(one) for one in found] == [
        lists(rerank(first, of_matrix(fine), [weight], top)[0]) for weight in (0.0, 0.5, 1.0)
    ]
    # Full scoring looks at the right pairs first, to know what the others are counted against.
    assert int(seen.max()) == (1 if top is not None else 2)


def test_only_the_nearest_are_scored() -> None:
    first = FirstStage.of(torch.randn(50, 8), torch.randn(200, 8), torch.arange(50), torch.arange(200) // 4)
    scored = []

    rerank(first, lambda images, texts: scored.append(len(texts)) or torch.zeros(len(texts), 1), [1.0], top=5)

    assert max(200 * 5, 50 * 5) <= sum(scored) <= 200 * 5 + 50 * 5


@pytest.mark.parametrize("top", [None, 20, 3])
def test_a_model_that_gives_one_vector_and_one_fine_score_to_everything_scores_zero(top: int | None) -> None:
    """The fine score differs by what rounding in blocks of other shapes may do to it."""
    image, text = torch.randn(1, 96), torch.randn(1, 96)
    groups = torch.arange(60), torch.arange(60).repeat_interleave(2)
    first = FirstStage.of(image.expand(60, 96), text.expand(120, 96), *groups)

    def rounded(images: Tensor, texts: Tensor) -> Tensor:
        return 0.3 * (1 + 4e-7 * (torch.rand(len(texts), len(images)) - 0.5))

    found = rerank(first, rounded, [2.0], top)[0]

    assert lists(found) == ([59 * 2] * 60, [59] * 120)


def test_queries_without_a_right_answer_have_no_rank() -> None:
    first = first_of([[9, 1, 8], [1, 9, 1], [0, 0, 0]], [0, 1, 2], [0, 1, 77])

    for top in (None, 1, 2):
        found = rerank(first, of_matrix(torch.zeros(3, 3)), [1.0], top)[0]
        assert (found.i2t[2], found.t2i[2]) == (-1, -1)


def test_a_split_with_no_right_answer_at_all_has_no_ranks() -> None:
    first = first_of([[1.0, 2.0]], [0], [7, 8])

    for top in (None, 1):
        assert lists(rerank(first, of_matrix(torch.zeros(1, 2)), [1.0], top)[0]) == ([-1], [-1, -1])


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_fine_scores_that_are_no_numbers_are_told(bad: float) -> None:
    first = first_of([[3, 5], [5, 4]], [0, 1], [0, 1])

    with pytest.raises(ValueError, match="not finite"):
        rerank(first, of_matrix(torch.tensor([[1.0, bad], [0.0, 0.0]])), [0.0])


def test_fine_scores_the_wrong_way_round_and_no_nearest_are_told() -> None:
    first = first_of([[3, 5, 1], [5, 4, 1]], [0, 1], [0, 1, 1])

    with pytest.raises(ValueError, match=r"2 captions and 1 images are \[1, 2\]"):
        rerank(first, lambda images, texts: torch.zeros(len(images), len(texts)), [1.0])
    with pytest.raises(ValueError, match="top must be at least 1, not 0"):
        rerank(first, of_matrix(torch.zeros(2, 3)), [1.0], top=0)


def test_first_stage_ranks_are_those_of_recall() -> None:
    first, _ = drawn(5, whole=False)

    assert lists(first.ranks) == lists(ranks(first.image, first.text, first.image_group, first.text_group))


@pytest.mark.parametrize("top", [None, 300])
def test_what_is_scored_at_once_is_bounded(top: int | None) -> None:
    groups = torch.arange(400), torch.arange(400).repeat_interleave(4)
    first = FirstStage.of(torch.randn(400, 8), torch.randn(1_600, 8), *groups)
    asked = []

    def fine(images: Tensor, texts: Tensor) -> Tensor:
        asked.append(len(images) * len(texts))
        return torch.zeros(len(texts), len(images))

    rerank(first, fine, [1.0], top, pairs=500)

    # of the nearest, an image alone with a sixteenth as many captions
    assert max(asked) <= (500 if top is None else 31)
