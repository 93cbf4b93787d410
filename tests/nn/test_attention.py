"""Attention: weights are a distribution over the keys there are, worked out by making the values one-hot."""

import pytest
import torch

from mmx.nn.attention import MultiHeadAttention, SelfAttentionBlock


def identity_attention(width: int) -> MultiHeadAttention:
    """One head whose values and output are the keys themselves, so that one-hot keys show the weights."""
    attention = MultiHeadAttention(width, heads=1)
    for layer in (attention.query, attention.key, attention.value, attention.output):
        layer.weight.data = torch.eye(width)
        layer.bias.data.zero_()
    return attention


def test_weights_sum_to_one_over_valid_keys_and_are_exactly_zero_on_padding() -> None:
    mask = torch.tensor([[True, True, True, False]])

    weights = identity_attention(4)(torch.randn(1, 2, 4), torch.eye(4)[None], mask)

    torch.testing.assert_close(weights.sum(-1), torch.ones(1, 2))
    assert weights[..., 3].eq(0).all()


def test_weights_are_the_softmax_of_scaled_products() -> None:
    query = torch.tensor([[[2.0, 0.0]]])

    weights = identity_attention(2)(query, torch.eye(2)[None], torch.ones(1, 2, dtype=torch.bool))

    torch.testing.assert_close(weights[0, 0], torch.tensor([2 / 2**0.5, 0.0]).softmax(0))


def test_heads_share_the_width_and_an_uneven_share_is_refused() -> None:
    with pytest.raises(ValueError, match=r"width 10 .* 4 heads"):
        MultiHeadAttention(10, heads=4)


def test_padding_cannot_change_what_a_block_says_of_real_tokens() -> None:
    block = SelfAttentionBlock(8, heads=2, dropout=0.5).eval()
    tokens, mask = torch.randn(3, 5, 8), torch.ones(3, 5, dtype=torch.bool)
    longer = torch.cat([tokens, torch.full((3, 4, 8), 1e4)], dim=1)
    longer_mask = torch.cat([mask, torch.zeros(3, 4, dtype=torch.bool)], dim=1)

    torch.testing.assert_close(block(longer, longer_mask)[:, :5], block(tokens, mask), atol=1e-5, rtol=0)


def test_a_block_does_not_know_the_order_of_tokens() -> None:
    block = SelfAttentionBlock(8, heads=2).eval()
    tokens, mask, order = torch.randn(1, 5, 8), torch.ones(1, 5, dtype=torch.bool), torch.randperm(5)

    in_order = block(tokens, mask)

    torch.testing.assert_close(block(tokens[:, order], mask), in_order[:, order], atol=1e-5, rtol=0)


def test_places_that_are_not_kept_are_left_out_and_nothing_else_changes() -> None:
    block = SelfAttentionBlock(8, heads=2).eval()
    tokens, mask = torch.randn(3, 5, 8), torch.tensor([[True] * 4 + [False]]).expand(3, 5)

    torch.testing.assert_close(block(tokens, mask, keep=2), block(tokens, mask)[:, :2], atol=1e-6, rtol=0)
