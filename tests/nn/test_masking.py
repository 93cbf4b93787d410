"""Masked reductions: hand-worked values, and that padding has no say."""

import torch

from mmx.nn.masking import masked_max, masked_mean, masked_softmax

VALUES = torch.tensor([[1.0, 3.0, 1e9], [-5.0, -2.0, -7.0]])
MASK = torch.tensor([[True, True, False], [True, True, True]])


def test_the_mean_is_over_what_is_there() -> None:
    torch.testing.assert_close(masked_mean(VALUES, MASK, dim=1), torch.tensor([2.0, -14 / 3]))


def test_the_maximum_is_over_what_is_there() -> None:
    torch.testing.assert_close(masked_max(VALUES, MASK, dim=1), torch.tensor([3.0, -2.0]))


def test_the_softmax_sums_to_one_and_is_exactly_zero_on_padding() -> None:
    weights = masked_softmax(VALUES, MASK, dim=1)

    torch.testing.assert_close(weights.sum(1), torch.ones(2))
    assert weights[0, 2] == 0


def test_a_mask_of_tokens_broadcasts_over_features() -> None:
    features = torch.stack([VALUES, 2 * VALUES], dim=-1)

    torch.testing.assert_close(masked_mean(features, MASK[..., None], dim=1)[0], torch.tensor([2.0, 4.0]))
    torch.testing.assert_close(masked_max(features, MASK[..., None], dim=1)[1], torch.tensor([-2.0, -4.0]))


def test_nothing_at_all_gives_zero_and_not_nan() -> None:
    nothing = torch.zeros(2, 3, dtype=torch.bool)

    for reduce in (masked_mean, masked_max):
        assert reduce(VALUES, nothing, dim=1).eq(0).all()
    assert masked_softmax(VALUES, nothing, dim=1).eq(0).all()
