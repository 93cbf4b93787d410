"""The gate: what it opens, and what it never does."""

import pytest
import torch

from mmx.methods.dynamic_gating.gate import gate
from tests.heads.episodes import random_unit


@pytest.mark.parametrize("top_k", [None, 7, 9])
def test_a_gate_that_opens_all_is_a_softmax(top_k: int | None) -> None:
    scores = random_unit(4, 7, 0)

    assert torch.equal(gate(scores, top_k), scores.softmax(1))


def test_a_gate_of_one_opens_the_best_row_whole() -> None:
    scores = torch.tensor([[0.1, 0.9, 0.3], [2.0, -1, 1]])

    assert gate(scores, 1).tolist() == [[0, 1, 0], [1, 0, 0]]


def test_two_of_three_by_hand() -> None:
    # exp(ln 3) : exp(0) is 3 : 1
    scores = torch.tensor([[torch.tensor(3.0).log(), -5.0, 0.0]])

    torch.testing.assert_close(gate(scores, 2), torch.tensor([[0.75, 0, 0.25]]))


@pytest.mark.parametrize("scores", [random_unit(6, 11, 1), torch.zeros(6, 11)], ids=["apart", "tied"])
@pytest.mark.parametrize("top_k", [1, 3, 10])
def test_as_many_rows_are_open_as_were_asked_for_and_sum_to_one(scores: torch.Tensor, top_k: int) -> None:
    alpha = gate(scores, top_k)

    assert ((alpha > 0).sum(1) == top_k).all()
    torch.testing.assert_close(alpha.sum(1), torch.ones(6))


def test_rows_in_another_order_are_opened_in_that_order() -> None:
    scores, order = random_unit(4, 9, 2), torch.randperm(9, generator=torch.Generator().manual_seed(3))

    torch.testing.assert_close(gate(scores[:, order], 4), gate(scores, 4)[:, order])
