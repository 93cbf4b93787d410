"""Recall: hand-worked matrices, the plain double loop, and laws that no arrangement of the work may break."""

import tracemalloc

import numpy
import pytest
import torch
from torch import Tensor

from mmx.tasks.recall import DEFINITIONS, Ranks, ranks, recall_metrics

I3 = torch.eye(3)


@pytest.fixture(autouse=True, params=[False, True], ids=["float32 first", "bfloat16 first"])
def _whatever_the_processor_multiplies(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmx.tasks.stand_before.multiplies_bfloat16", lambda: request.param)
    torch.manual_seed(0)


def from_scores(scores: list[list[float]], image_group: list[int], text_group: list[int]) -> Ranks:
    """Ranks of a score matrix [N, C]: the images are unit vectors, the captions its columns."""
    matrix = torch.tensor(scores)
    return ranks(torch.eye(len(matrix)), matrix.T, torch.tensor(image_group), torch.tensor(text_group))


def plain_loop(
    image: Tensor, text: Tensor, image_group: Tensor, text_group: Tensor
) -> tuple[list[int], list[int]]:
    """The definition, one query at a time, in float64."""
    scores = image.double() @ text.double().T
    relevant = image_group[:, None] == text_group[None, :]

    def rank(row: Tensor, right: Tensor) -> int:
        if not right.any():
            return -1
        best = row[right].max()
        return int((row > best).sum() + ((row == best) & ~right).sum())

    return (
        [rank(scores[i], relevant[i]) for i in range(len(image))],
        [rank(scores[:, j], relevant[:, j]) for j in range(len(text))],
    )


def random_case(seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Small whole numbers, so that many scores are tied; some images share a group, some have no caption."""
    random = torch.Generator().manual_seed(seed)

    def draw(low: int, high: int, *shape: int) -> Tensor:
        return torch.randint(low, high, shape, generator=random)

    images, captions, width = int(draw(1, 40)), int(draw(1, 120)), int(draw(1, 8))
    image_group, text_group = draw(0, max(images - 2, 1), images), draw(0, images + 3, captions)
    return draw(-2, 3, images, width).float(), draw(-2, 3, captions, width).float(), image_group, text_group


def test_a_perfect_diagonal_ranks_everything_first() -> None:
    found = from_scores([[9, 1, 2], [1, 9, 2], [1, 2, 9]], [0, 1, 2], [0, 1, 2])

    assert found.i2t.tolist() == [0, 0, 0]
    assert found.t2i.tolist() == [0, 0, 0]
    assert recall_metrics(found)["rsum"] == 600.0


def test_ranks_of_a_matrix_worked_by_hand() -> None:
    """Row 0: 5 and 4 stand above 3. Row 1: nothing above 6. Row 2: 8 above 7. Columns likewise."""
    found = from_scores([[3, 5, 4], [2, 6, 1], [1, 8, 7]], [0, 1, 2], [0, 1, 2])

    assert found.i2t.tolist() == [2, 0, 1]
    assert found.t2i.tolist() == [0, 1, 0]


def test_metrics_of_ranks_worked_by_hand() -> None:
    metrics = recall_metrics(Ranks(i2t=torch.tensor([0, 4, 5, 10]), t2i=torch.tensor([0, 0, 1, 9, 100])))

    assert metrics == pytest.approx(
        {
            "i2t_recall@1": 25.0,
            "i2t_recall@5": 50.0,
            "i2t_recall@10": 75.0,
            "t2i_recall@1": 40.0,
            "t2i_recall@5": 60.0,
            "t2i_recall@10": 80.0,
            "rsum": 330.0,
            "i2t_median_rank": 5.0,  # the median of 0, 4, 5, 10 is 4.5: floor 4, from 1
            "t2i_median_rank": 2.0,
        }
    )


def test_the_best_of_several_captions_counts_and_the_others_do_not_stand_in_its_way() -> None:
    """Image 0 has captions 0 and 1: its best is 9, and its 1 is no competitor. Image 1 has caption 2."""
    found = from_scores([[1, 9, 5], [0, 2, 3]], [0, 1], [0, 0, 1])

    assert found.i2t.tolist() == [0, 0]
    assert found.t2i.tolist() == [0, 0, 1]


def test_a_tie_with_a_wrong_answer_counts_against_and_a_tie_with_a_right_one_does_not() -> None:
    found = from_scores([[4, 4, 4], [4, 4, 0]], [0, 1], [0, 0, 1])

    assert found.i2t.tolist() == [1, 2]
    assert found.t2i.tolist() == [1, 1, 1]


def test_captions_need_not_stand_in_the_order_of_their_images() -> None:
    found = from_scores([[1, 2, 9], [9, 1, 2], [2, 9, 1]], [7, 3, 5], [3, 5, 7])

    assert found.i2t.tolist() == [0, 0, 0]
    assert found.t2i.tolist() == [0, 0, 0]


def test_queries_without_a_right_answer_are_left_out_and_counted() -> None:
    found = from_scores([[9, 1, 8], [1, 9, 1], [0, 0, 0]], [0, 1, 2], [0, 1, 77])

    assert found.i2t.tolist() == [0, 0, -1]
    assert found.t2i.tolist() == [0, 0, -1]
    assert found.dropped == {"i2t": 1, "t2i": 1}
    assert recall_metrics(found)["rsum"] == 600.0


def test_two_pictures_of_one_identity_are_both_right() -> None:
    found = from_scores([[5, 1], [6, 2]], [4, 4], [4, 8])

    assert found.i2t.tolist() == [0, 0]
    assert found.t2i.tolist() == [0, -1]


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("block", [1, 7, 240])
def test_ranks_are_those_of_the_plain_loop_with_many_ties(seed: int, block: int) -> None:
    case = random_case(seed)

    found = ranks(*case, block=block)

    assert (found.i2t.tolist(), found.t2i.tolist()) == plain_loop(*case)


def test_ranks_are_those_of_the_plain_loop_across_blocks_of_captions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmx.tasks.recall.BLOCK_COLUMNS", 13)
    for seed in range(40, 60):
        case = random_case(seed)
        found = ranks(*case, block=4)
        assert (found.i2t.tolist(), found.t2i.tolist()) == plain_loop(*case)


@pytest.mark.parametrize("apart", [1e-2, 1e-4, 1e-6, 1e-9])
def test_answers_that_lie_nearer_than_a_format_can_tell_are_told_apart(apart: float) -> None:
    """Every wrong caption is the right one, nudged: bfloat16 tells 1 from 1.01, float32 tells 1e-6."""
    image = torch.nn.functional.normalize(torch.randn(60, 256), dim=1)
    nudges = apart * torch.randn(60, 4, 256)
    text = (image[:, None] + torch.cat([nudges, torch.zeros(60, 1, 256)], dim=1)).view(300, 256)
    text_group = torch.full((60, 5), -1)
    text_group[:, 4] = torch.arange(60)
    case = image, text, torch.arange(60), text_group.view(-1)

    found = ranks(*case)

    assert (found.i2t.tolist(), found.t2i.tolist()) == plain_loop(*case)


@pytest.mark.parametrize("longest", [1e-14, 1.0, 1e4, 1e14])
def test_the_lengths_of_vectors_do_not_matter(longest: float) -> None:
    """Beyond what bfloat16 holds with ease too; the lengths within a case differ by a factor of a hundred."""
    image, text = torch.randn(80, 96), torch.randn(240, 96)
    image, text = (
        vectors * torch.logspace(-2, 0, len(vectors))[:, None] * longest for vectors in (image, text)
    )
    case = image, text, torch.arange(80), torch.arange(80).repeat_interleave(3)

    found = ranks(*case)

    assert (found.i2t.tolist(), found.t2i.tolist()) == plain_loop(*case)


@pytest.mark.parametrize(
    ("images", "captions", "width"), [(100, 5, 512), (129, 3, 384), (300, 1, 77), (2, 1, 1024)]
)
def test_a_model_that_gives_one_vector_to_everything_scores_zero(
    images: int, captions: int, width: int
) -> None:
    """Rounding differs with the place in a matrix product; a collapsed model must not live on it."""
    image, text = torch.randn(1, width), torch.randn(1, width)
    groups = torch.arange(images)

    found = ranks(
        image.expand(images, width),
        text.expand(images * captions, width),
        groups,
        groups.repeat_interleave(captions),
    )

    assert found.i2t.tolist() == [(images - 1) * captions] * images
    assert found.t2i.tolist() == [images - 1] * images * captions
    assert recall_metrics(found)["i2t_recall@1"] == recall_metrics(found)["t2i_recall@1"] == 0.0


def test_a_zero_vector_is_a_tie_with_everything() -> None:
    found = ranks(torch.zeros(12, 4), torch.randn(12, 4), torch.arange(12), torch.arange(12))

    assert recall_metrics(found)["rsum"] == 0.0


def test_duplicate_pictures_stand_in_each_others_way() -> None:
    """Two records with one picture: neither caption can be found first, whatever the rounding."""
    image = torch.randn(50, 96)
    image[31] = image[3]

    found = ranks(image, image.clone(), torch.arange(50), torch.arange(50))

    assert found.t2i[3] == found.t2i[31] == found.i2t[3] == found.i2t[31] == 1


def test_the_order_of_the_items_does_not_matter() -> None:
    image, text = torch.randn(70, 33), torch.randn(210, 33)
    image_group, text_group = torch.arange(70), torch.arange(70).repeat_interleave(3)
    rows, captions = torch.randperm(70), torch.randperm(210)

    straight = ranks(image, text, image_group, text_group)
    shuffled = ranks(image[rows], text[captions], image_group[rows], text_group[captions])

    assert torch.equal(shuffled.i2t, straight.i2t[rows])
    assert torch.equal(shuffled.t2i, straight.t2i[captions])


def test_the_block_size_does_not_matter() -> None:
    image, text = torch.randn(90, 64), torch.randn(270, 64)
    groups = torch.arange(90), torch.arange(90).repeat_interleave(3)

    one = ranks(image, text, *groups)

    for block in (1, 5, 64, 89, 10_000):
        other = ranks(image, text, *groups, block=block)
        assert torch.equal(one.i2t, other.i2t) and torch.equal(one.t2i, other.t2i)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_an_embedding_that_is_not_finite_is_named(bad: float) -> None:
    text = torch.randn(6, 4)
    text[4, 2] = bad

    with pytest.raises(ValueError, match="1 rows of text_embedding are not finite, the first is row 4"):
        ranks(torch.randn(6, 4), text, torch.arange(6), torch.arange(6))


def test_shapes_that_do_not_fit_are_told() -> None:
    with pytest.raises(ValueError, match="3 wide but text_embedding is 4"):
        ranks(torch.randn(2, 3), torch.randn(2, 4), torch.arange(2), torch.arange(2))
    with pytest.raises(ValueError, match="one group an item"):
        ranks(torch.randn(2, 3), torch.randn(2, 3), torch.arange(3), torch.arange(2))


def test_no_right_answer_at_all_has_no_recall() -> None:
    with pytest.raises(ValueError, match="no i2t query"):
        recall_metrics(ranks(I3, I3, torch.arange(3), torch.arange(3) + 9))


def test_inference_tensors_and_half_precision_are_read() -> None:
    with torch.inference_mode():
        image = torch.eye(5).half()

    assert (
        recall_metrics(ranks(image, image.float(), torch.arange(5), torch.arange(5)))["i2t_recall@1"] == 100.0
    )


def test_the_scores_are_never_all_in_memory() -> None:
    """2,000 x 40,000 scores would be 305 MiB; numpy tells of its memory, torch holds one block of 15 MiB."""
    image, text = torch.randn(2_000, 8), torch.randn(40_000, 8)
    groups = torch.arange(2_000), torch.arange(2_000).repeat_interleave(20)

    tracemalloc.start()
    ranks(image, text, *groups)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 48 * 2**20


def test_every_number_has_its_definition() -> None:
    assert {"direction", "relevance", "recall", "ties", "rsum", "median_rank"} == DEFINITIONS.keys()


@pytest.mark.real_data
def test_clip_vectors_of_a_hundred_photos_reach_what_an_independent_script_found(real_data) -> None:
    folder = real_data / "clip_vitb32_flickr8k"
    image = torch.from_numpy(numpy.load(folder / "chia213_image.npy"))
    text = torch.from_numpy(numpy.load(folder / "chia213_text.npy"))

    metrics = recall_metrics(ranks(image, text, torch.arange(100), torch.arange(100).repeat_interleave(5)))

    assert [round(metrics[f"t2i_recall@{k}"], 1) for k in (1, 5, 10)] == [83.2, 99.0, 99.8]
    assert [round(metrics[f"i2t_recall@{k}"], 1) for k in (1, 5, 10)] == [93.0, 100.0, 100.0]
