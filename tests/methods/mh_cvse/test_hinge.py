"""Hinges worked out by hand, with one caption an image and with several."""

import pytest
import torch
from torch import Tensor

from mmx.methods.mh_cvse.hinge import hardest_hinge, mean_hinge

SCORES = torch.tensor([[0.9, 0.8, 0.1], [0.3, 0.5, 0.6], [0.2, 0.0, 0.7]])
DIAGONAL = torch.eye(3, dtype=torch.bool)


def test_the_hardest_wrong_partner_counts_in_both_directions() -> None:
    """Rows: .2+.8-.9=.1, .2+.6-.5=.3, 0 (.2+.2-.7<0). Columns: 0 (.2+.3-.9<0), .2+.8-.5=.5, .2+.6-.7=.1."""
    assert hardest_hinge(SCORES, DIAGONAL, 0.2).item() == pytest.approx((0.1 + 0.3 + 0.5 + 0.1) / 3)


def test_the_mean_is_over_all_wrong_partners() -> None:
    """Rows: (.1+0)/2, (0+.3)/2, 0. Columns: 0, (.5+0)/2, (0+.1)/2."""
    assert mean_hinge(SCORES, DIAGONAL, 0.2).item() == pytest.approx((0.1 + 0.3 + 0.5 + 0.1) / 2 / 3)


@pytest.mark.parametrize("hinge", [hardest_hinge, mean_hinge])
def test_nothing_is_asked_where_every_right_pair_wins_by_the_margin(hinge) -> None:
    assert hinge(torch.eye(4), torch.eye(4, dtype=torch.bool), 0.2).item() == 0


def test_with_two_pairs_the_hardest_is_the_only_one() -> None:
    scores, positive = torch.rand(2, 2), torch.eye(2, dtype=torch.bool)

    torch.testing.assert_close(hardest_hinge(scores, positive, 0.2), mean_hinge(scores, positive, 0.2))


def by_loop(scores: Tensor, positive: Tensor, margin: float, hardest: bool) -> float:
    """The definition, pair by pair."""
    losses, (images, captions) = [], scores.shape
    for i in range(images):
        for j in range(captions):
            if not positive[i, j]:
                continue
            row = [max(0.0, margin + scores[i, k].item() - scores[i, j].item()) for k in range(captions)]
            column = [max(0.0, margin + scores[k, j].item() - scores[i, j].item()) for k in range(images)]
            row = [value for k, value in enumerate(row) if not positive[i, k]]
            column = [value for k, value in enumerate(column) if not positive[k, j]]
            found = [max(side) if hardest else sum(side) / len(side) for side in (row, column) if side]
            losses.append(sum(found))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("hardest", [True, False])
def test_several_captions_of_an_image_and_images_of_a_group_are_never_wrong(hardest: bool) -> None:
    image_group, text_group = torch.tensor([0, 1, 1, 2]), torch.tensor([0, 0, 1, 2, 2, 2, 1])
    positive, scores = image_group[:, None] == text_group[None], torch.rand(4, 7)
    hinge = hardest_hinge if hardest else mean_hinge

    assert hinge(scores, positive, 0.2).item() == pytest.approx(by_loop(scores, positive, 0.2, hardest), 1e-5)


@pytest.mark.parametrize("hinge", [hardest_hinge, mean_hinge])
def test_with_nothing_wrong_there_is_nothing_to_lose_and_a_finite_gradient(hinge) -> None:
    scores = torch.rand(2, 3, requires_grad=True)

    value = hinge(scores, torch.ones(2, 3, dtype=torch.bool), 0.2)
    value.backward()

    assert value.item() == 0 and scores.grad.eq(0).all()


@pytest.mark.parametrize("hinge", [hardest_hinge, mean_hinge])
def test_a_batch_twice_over_costs_the_same(hinge) -> None:
    """No sum over the batch is left: each score stands four times, in the same places of the formula."""
    torch.testing.assert_close(
        hinge(SCORES.repeat(2, 2), DIAGONAL.repeat(2, 2), 0.2), hinge(SCORES, DIAGONAL, 0.2)
    )


def test_only_the_hardest_gets_a_gradient() -> None:
    scores = torch.tensor([[0.5, 0.6, 0.45], [0.0, 0.9, 0.0], [0.0, 0.0, 0.9]], requires_grad=True)

    hardest_hinge(scores, DIAGONAL, 0.2).backward()

    assert scores.grad[0].tolist() == pytest.approx([-1 / 3, 1 / 3, 0.0])
