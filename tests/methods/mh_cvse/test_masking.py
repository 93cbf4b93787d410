"""Reductions over what is there, and what is shown of it in training."""

import torch

from mmx.methods.mh_cvse.masking import hide, masked_mean, masked_softmax, seen, weighted_sum


def test_the_mean_is_over_what_is_there() -> None:
    values = torch.tensor([[[1.0, 4.0], [3.0, 8.0], [1e6, -1e6]]])

    mean = masked_mean(values, torch.tensor([[True, True, False]]))

    assert mean.tolist() == [[2.0, 6.0]]


def test_a_softmax_is_exactly_zero_on_padding_and_sums_to_one() -> None:
    weights = masked_softmax(torch.tensor([[0.0, 0.0, 9.0]]), torch.tensor([[True, True, False]]))

    assert weights.tolist() == [[0.5, 0.5, 0.0]]


def test_a_weighted_sum_is_what_a_plain_loop_gives() -> None:
    values, weights = torch.randn(2, 3, 4), torch.rand(2, 3)
    by_hand = torch.stack([sum(weights[b, t] * values[b, t] for t in range(3)) for b in range(2)])

    torch.testing.assert_close(weighted_sum(values, weights), by_hand)


def test_an_item_without_anything_shows_its_empty_places() -> None:
    mask = torch.tensor([[True, False], [False, False]])

    assert seen(mask).tolist() == [[True, False], [True, True]]


def test_hiding_leaves_something_of_each_item_and_shows_no_padding() -> None:
    mask = torch.arange(6) < torch.tensor([1, 3, 6] * 50)[:, None]

    shown = hide(mask, 0.9)

    assert shown.any(dim=1).all()
    assert not (shown & ~mask).any()


def test_about_the_asked_share_is_hidden() -> None:
    torch.manual_seed(0)

    shown = hide(torch.ones(100, 100, dtype=torch.bool), 0.2)

    assert abs(shown.float().mean().item() - 0.8) < 0.02
