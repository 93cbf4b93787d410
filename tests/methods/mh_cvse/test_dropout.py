"""Dropout: the share that is asked for, the mean as before, nothing in evaluation."""

import torch

from mmx.methods.mh_cvse.dropout import Dropout


def test_values_are_zero_or_scaled_so_that_the_mean_stays() -> None:
    torch.manual_seed(0)

    dropped = Dropout(0.25).train()(torch.ones(300, 301))

    assert set(dropped.unique().tolist()) == {0.0, torch.tensor(1 / 0.75).item()}
    assert abs((dropped == 0).float().mean().item() - 0.25) < 0.01


def test_each_place_is_drawn_for_itself() -> None:
    """Neighbours that share a random number of 64 bits must not share their fate."""
    torch.manual_seed(0)

    kept = Dropout(0.5).train()(torch.ones(40_000)).view(-1, 4) > 0

    together = (kept.float().T @ kept.float() / len(kept))[~torch.eye(4, dtype=torch.bool)]
    torch.testing.assert_close(together, torch.full((12,), 0.25), atol=0.02, rtol=0)


def test_the_same_seed_hides_the_same_values() -> None:
    dropout, values = Dropout(0.5).train(), torch.randn(5, 7)
    torch.manual_seed(3)
    first = dropout(values)
    torch.manual_seed(3)

    assert torch.equal(dropout(values), first)


def test_gradients_pass_where_values_do() -> None:
    values = torch.ones(50, requires_grad=True)

    dropped = Dropout(0.5).train()(values)
    dropped.sum().backward()

    assert torch.equal(values.grad, dropped.detach())


def test_evaluation_and_a_share_of_nothing_leave_values_alone() -> None:
    values = torch.randn(9)

    assert Dropout(0.5).eval()(values) is values
    assert Dropout(0.0).train()(values) is values
