"""Kept items: what comes back is what was put in, whatever the batches, in half the memory where safe."""

import pytest
import torch
from torch import Tensor

from mmx.engine.kept import KeptBatches, KeptItems


def kept(*batches: dict[str, Tensor], items: list[int] | None = None) -> KeptItems:
    gathered = KeptBatches()
    for batch in batches:
        gathered.add(batch)
    count = sum(len(next(iter(batch.values()))) for batch in batches)
    return gathered.join(torch.tensor(items or list(range(count))))


def test_items_come_back_in_the_order_asked_for_whatever_the_order_they_were_added_in() -> None:
    """Item 2 was added first, then 0, then 1."""
    found = kept(
        {"a": torch.tensor([[2.0, 2.5]])}, {"a": torch.tensor([[0.0, 0.5], [1.0, 1.5]])}, items=[2, 0, 1]
    )

    assert found.take(torch.tensor([0, 1, 2, 1]))["a"].tolist() == [[0, 0.5], [1, 1.5], [2, 2.5], [1, 1.5]]


def test_batches_of_different_length_are_padded_to_the_longest_that_is_asked_for() -> None:
    short = {
        "tokens": torch.ones(2, 1, 3),
        "mask": torch.ones(2, 1, dtype=torch.bool),
        "whole": torch.ones(2, 4),
    }
    long = {
        "tokens": torch.ones(1, 3, 3),
        "mask": torch.ones(1, 3, dtype=torch.bool),
        "whole": torch.ones(1, 4),
    }
    found = kept(short, long)

    both, alone = found.take(torch.tensor([0, 2])), found.take(torch.tensor([1, 0]))

    assert both["tokens"].shape == (2, 3, 3) and both["whole"].shape == (2, 4)
    assert both["tokens"].sum(2).tolist() == [[3, 0, 0], [3, 3, 3]]
    assert both["mask"].tolist() == [[True, False, False], [True, True, True]]
    assert alone["tokens"].shape == (2, 1, 3) and alone["mask"].all()


def test_nothing_is_padded_where_all_batches_are_of_one_length() -> None:
    found = kept({"a": torch.rand(2, 4, 3)}, {"a": torch.rand(3, 4, 3)})

    assert found.take(torch.tensor([4, 0]))["a"].shape == (2, 4, 3)


def test_numbers_are_held_in_half_the_memory_and_given_in_float32() -> None:
    values = torch.randn(5, 7)
    found = kept({"a": values})

    assert found.nbytes == 5 * 7 * 2
    assert found.take(torch.arange(5))["a"].dtype == torch.float32
    torch.testing.assert_close(found.take(torch.arange(5))["a"], values, rtol=2.0**-11, atol=2.0**-24)


@pytest.mark.parametrize("factor", [1e6, 1e-6])
def test_numbers_that_would_overflow_or_vanish_in_float16_are_held_in_float32(factor: float) -> None:
    values = torch.randn(5, 7) * factor

    assert torch.equal(kept({"a": values}).take(torch.arange(5))["a"], values)


def test_one_batch_that_does_not_fit_float16_does_not_spoil_the_others() -> None:
    found = kept({"a": torch.full((1, 2), 3.0)}, {"a": torch.full((1, 2), 1e6)})

    assert found.take(torch.arange(2))["a"].tolist() == [[3, 3], [1e6, 1e6]]


def test_zeros_and_whole_numbers_stay_what_they_are() -> None:
    found = kept({"zero": torch.zeros(2, 3), "number": torch.tensor([2**40, 1])}).take(torch.arange(2))

    assert found["number"].tolist() == [2**40, 1] and not found["zero"].any()


def test_items_with_a_number_that_is_none_are_remembered() -> None:
    gathered = KeptBatches()
    gathered.add({"a": torch.zeros(3, 2), "b": torch.zeros(3)})
    gathered.add({"a": torch.tensor([[0.0, 1.0], [float("nan"), 0.0]]), "b": torch.zeros(2)})

    assert gathered.not_finite == [4]


def test_batches_that_keep_different_things_are_told() -> None:
    gathered = KeptBatches()
    gathered.add({"a": torch.zeros(3, 2)})

    with pytest.raises(ValueError, match="a batch keeps"):
        gathered.add({"b": torch.zeros(3, 2)})
    with pytest.raises(ValueError, match="a batch keeps"):
        gathered.add({"a": torch.zeros(3, 2), "b": torch.zeros(2)})


def test_a_method_may_keep_nothing() -> None:
    gathered = KeptBatches()
    gathered.add({})

    assert gathered.join(torch.arange(3)).take(torch.arange(2)) == {}
