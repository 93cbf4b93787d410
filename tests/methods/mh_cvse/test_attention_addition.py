"""The attention that seed 000 adds: a distribution a head, no order of regions, no look at padding."""

import torch
from torch import nn

from mmx.methods.mh_cvse.attention_addition import AttentionAddition

B, T, D, H = 3, 5, 8, 2


def some_regions() -> tuple[torch.Tensor, torch.Tensor]:
    """Random regions; the second item has three, the third one."""
    return torch.randn(B, T, D), torch.arange(T) < torch.tensor([5, 3, 1])[:, None]


def test_the_weights_of_every_head_sum_to_one_over_keys_and_are_zero_on_padding() -> None:
    regions, mask = some_regions()
    layers = AttentionAddition(D, H, dropout=0.0).attention

    weights = layers.compare(layers.query(regions), layers.key(regions), mask)

    assert weights.shape == (B, H, T, T)
    torch.testing.assert_close(weights.sum(-1), torch.ones(B, H, T))
    assert weights.masked_select(~mask[:, None, None, :]).eq(0).all()


def test_what_is_added_is_pytorchs_own_attention_with_the_norm_after_the_sum() -> None:
    regions, mask = some_regions()
    addition = AttentionAddition(D, H, dropout=0.1).eval()
    own, reference = addition.attention, nn.MultiheadAttention(D, H, batch_first=True)
    layers = (own.query, own.key, own.value)
    reference.in_proj_weight.data = torch.cat([layer.weight for layer in layers])
    reference.in_proj_bias.data = torch.cat([layer.bias for layer in layers])
    reference.out_proj.load_state_dict(own.output.state_dict())

    attended, _ = reference(regions, regions, regions, key_padding_mask=~mask)

    expected = nn.functional.layer_norm(regions + attended, (D,))
    torch.testing.assert_close(addition(regions, mask)[mask], expected[mask])


def test_regions_in_another_order_give_the_same_in_that_order() -> None:
    regions, mask, order = torch.randn(1, T, D), torch.ones(1, T, dtype=torch.bool), torch.randperm(T)
    addition = AttentionAddition(D, H, dropout=0.0)

    torch.testing.assert_close(addition(regions[:, order], mask), addition(regions, mask)[:, order])


def test_padding_cannot_change_what_is_said_of_a_region() -> None:
    regions, mask = some_regions()
    addition = AttentionAddition(D, H, dropout=0.0)
    rubbish = regions.masked_fill(~mask[..., None], 1e4)

    torch.testing.assert_close(addition(rubbish, mask)[mask], addition(regions, mask)[mask])
