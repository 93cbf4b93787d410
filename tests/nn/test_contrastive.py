"""Symmetric InfoNCE with several positives: values worked out by hand."""

import math

import pytest
import torch
from torch.nn import functional

from mmx.nn.contrastive import contrastive_loss, positive_pairs


@pytest.mark.parametrize("n", [1, 4, 64])
def test_uniform_logits_cost_the_logarithm_of_n(n: int) -> None:
    loss = contrastive_loss(torch.full((n, n), 3.0), torch.eye(n, dtype=torch.bool))

    assert loss.item() == pytest.approx(math.log(n), abs=1e-5)


def test_perfect_logits_cost_nothing() -> None:
    assert contrastive_loss(1e3 * torch.eye(5), torch.eye(5, dtype=torch.bool)).item() == pytest.approx(
        0, abs=1e-6
    )


def test_two_by_two_by_hand() -> None:
    """Rows: -log(e/(e+1)), -log(e^2/(e^2+1)); columns the same, the table being symmetric."""
    by_hand = (math.log(1 + math.exp(-1)) + math.log(1 + math.exp(-2))) / 2

    loss = contrastive_loss(torch.diag(torch.tensor([1.0, 2.0])), torch.eye(2, dtype=torch.bool))

    assert loss.item() == pytest.approx(by_hand)


def test_a_rectangle_is_the_mean_of_its_two_directions() -> None:
    """2 images, 6 captions, uniform: ln 6 from image to caption, ln 2 back."""
    positive = positive_pairs(torch.tensor([7, 9]), torch.tensor([7, 7, 7, 9, 9, 9]))

    loss = contrastive_loss(torch.zeros(2, 6), positive)

    assert loss.item() == pytest.approx((math.log(6) + math.log(2)) / 2)


def test_with_m_positives_the_least_cost_is_the_entropy_of_the_target() -> None:
    positive = positive_pairs(torch.arange(3), torch.arange(3).repeat_interleave(5))

    loss = contrastive_loss(1e3 * positive.float(), positive)

    assert loss.item() == pytest.approx(math.log(5) / 2, abs=1e-5)


def test_pictures_of_one_identity_are_positives_of_each_others_captions() -> None:
    positive = positive_pairs(torch.tensor([3, 3, 4]), torch.tensor([3, 3, 4]))

    assert positive.tolist() == [[True, True, False], [True, True, False], [False, False, True]]


def test_rows_and_columns_far_below_the_others_count_as_much() -> None:
    logits = torch.tensor([[200.0, 1.0, 2.0], [-200.0, -199.0, -600.0], [0.5, -300.0, 0.0]])
    rows, columns = logits.log_softmax(1).diagonal(), logits.log_softmax(0).diagonal()

    loss = contrastive_loss(logits, torch.eye(3, dtype=torch.bool))

    assert loss.item() == pytest.approx(-(rows.mean() + columns.mean()).item() / 2)


def test_the_gradient_is_that_of_small_differences() -> None:
    torch.manual_seed(0)
    logits = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    positive = positive_pairs(torch.tensor([1, 2, 8]), torch.tensor([1, 1, 2, 2, 9]))

    assert torch.autograd.gradcheck(lambda table: contrastive_loss(table, positive), logits)


def test_a_row_without_a_positive_is_left_out() -> None:
    logits = torch.randn(3, 2)
    positive = torch.tensor([[True, False], [False, True], [False, False]])
    rows = torch.stack([-logits[0].log_softmax(0)[0], -logits[1].log_softmax(0)[1]]).mean()
    columns = functional.cross_entropy(logits.T, positive.T.float())

    torch.testing.assert_close(contrastive_loss(logits, positive), (rows + columns) / 2)


def test_the_loss_is_the_same_whichever_way_the_table_lies() -> None:
    logits, positive = torch.randn(4, 8), positive_pairs(torch.arange(4), torch.arange(4).repeat(2))

    torch.testing.assert_close(contrastive_loss(logits, positive), contrastive_loss(logits.T, positive.T))
