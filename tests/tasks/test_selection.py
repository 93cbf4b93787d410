"""Choosing on validation samples: the better one, the first of equals, and clearly better than chance."""

import pytest
import torch

from mmx.tasks.selection import choose, clearly_better

LABELS = torch.tensor([0, 1, 0, 1])
RIGHT = torch.tensor([[2.0, 0], [0, 2], [2, 0], [0, 2]])


def test_the_one_that_says_the_labels_best_is_chosen() -> None:
    assert choose([-1.0, 0.5, 3.0], lambda factor: factor * RIGHT, LABELS) == 0.5


def test_scale_does_not_matter_and_the_first_of_equals_is_chosen() -> None:
    assert choose([100.0, 1.0], lambda factor: factor * torch.eye(2)[LABELS], LABELS) == 100.0


def test_without_samples_the_first_is_chosen() -> None:
    assert choose(["first", "second"], lambda name: pytest.fail("nothing is scored"), LABELS[:0]) == "first"


def test_nothing_to_choose_from_is_an_error() -> None:
    with pytest.raises(ValueError, match="no candidate"):
        choose([], lambda name: RIGHT, LABELS)


def test_clearly_better_needs_more_than_one_standard_error() -> None:
    torch.manual_seed(0)
    labels = torch.arange(40) % 2
    good = 3 * torch.eye(2)[labels] + torch.randn(40, 2)
    twin = good + 0.01 * torch.randn(40, 2)

    assert clearly_better(good, torch.randn(40, 2), labels)
    assert not (clearly_better(good, twin, labels) and clearly_better(twin, good, labels))
    assert not clearly_better(good, good, labels)
    assert not clearly_better(good[:1], -good[:1], labels[:1])
