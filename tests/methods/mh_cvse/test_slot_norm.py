"""SlotNorm: BatchNorm over region slots where all are filled, and the same of what is there where not."""

import pytest
import torch
from torch import nn

from mmx.core.errors import UsageError
from mmx.methods.mh_cvse.slot_norm import SlotNorm

B, T, D = 4, 3, 5


def full() -> torch.Tensor:
    """Every region is there."""
    return torch.ones(B, T, dtype=torch.bool)


def test_with_every_slot_filled_it_is_pytorchs_own_batch_norm() -> None:
    ours, theirs = SlotNorm(T).train(), nn.BatchNorm1d(T).train()
    for module in (ours, theirs):
        first, second = ("gain", "shift") if module is ours else ("weight", "bias")
        getattr(module, first).data = torch.tensor([1.0, 2.0, 0.5])
        getattr(module, second).data = torch.tensor([0.1, -1.0, 3.0])
    for _ in range(3):
        values = 2 * torch.randn(B, T, D) + 1
        torch.testing.assert_close(ours(values, full()), theirs(values))

    torch.testing.assert_close(ours.mean, theirs.running_mean)
    torch.testing.assert_close(ours.variance, theirs.running_var)
    torch.testing.assert_close(ours.eval()(values, full()), theirs.eval()(values))


def test_what_is_absent_has_no_part_in_the_statistics() -> None:
    """The last slot of two items is empty: the others' ten numbers are all there is."""
    mask = full()
    mask[2:, 2] = False
    values, norm = torch.randn(B, T, D), SlotNorm(T).train()
    values[2:, 2] = 1e4

    normed = norm(values, mask)

    there = values[:2, 2]
    expected = (there - there.mean()) / (there.var(correction=0) + 1e-5).sqrt()
    torch.testing.assert_close(normed[:2, 2], expected)
    torch.testing.assert_close(norm.mean[2], 0.1 * there.mean())
    torch.testing.assert_close(norm.variance[2], 0.9 + 0.1 * there.var())


def test_the_two_ways_to_the_statistics_agree() -> None:
    values, mask = torch.randn(B, T, D), full()
    longer, absent = torch.cat([values, torch.full((B, 1, D), 1e4)], 1), torch.zeros(B, 1, dtype=torch.bool)
    fused, masked = SlotNorm(T).train(), SlotNorm(T + 1).train()

    torch.testing.assert_close(masked(longer, torch.cat([mask, absent], 1))[:, :T], fused(values, mask))
    torch.testing.assert_close(masked.mean[:T], fused.mean)
    torch.testing.assert_close(masked.variance[:T], fused.variance)


def test_a_slot_that_no_item_fills_keeps_its_statistics() -> None:
    mask, norm = full(), SlotNorm(T).train()
    mask[:, 1] = False

    norm(torch.randn(B, T, D), mask)

    assert (norm.mean[1].item(), norm.variance[1].item()) == (0.0, 1.0)


def test_fewer_regions_than_slots_use_the_first_ones() -> None:
    norm = SlotNorm(T + 2).train()

    assert norm(torch.randn(B, T, D), full()).shape == (B, T, D)
    assert norm.mean[T:].eq(0).all()


def test_more_regions_than_slots_are_refused_with_a_way_on() -> None:
    with pytest.raises(UsageError, match=r"has 3 regions.* slots=2\. Set slots=3, or gate_norm=layer"):
        SlotNorm(2)(torch.randn(B, T, D), full())
