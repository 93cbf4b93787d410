"""Near duplicates: each group stands behind its best."""

import torch

from mmx.search.collapse import collapse


def test_groups_by_hand() -> None:
    """Directions at 0, 90, 5 and 8 degrees: the last two are within 10 of the first."""
    angles = torch.deg2rad(torch.tensor([0.0, 90.0, 5.0, 8.0]))
    vectors = torch.stack([angles.cos(), angles.sin()], dim=1)
    assert collapse(vectors, float(torch.deg2rad(torch.tensor(10.0)).cos())) == [[0, 2, 3], [1]]
    assert collapse(vectors, 1.0) == [[0], [1], [2], [3]]


def test_a_chain_of_likenesses_does_not_drift() -> None:
    """0, 8 and 16 degrees: the third is like the second, which stands behind the first."""
    angles = torch.deg2rad(torch.tensor([0.0, 8.0, 16.0]))
    vectors = torch.stack([angles.cos(), angles.sin()], dim=1)
    assert collapse(vectors, float(torch.deg2rad(torch.tensor(10.0)).cos())) == [[0, 1], [2]]


def test_nothing_is_no_group() -> None:
    assert collapse(torch.empty(0, 4), 0.9) == []
