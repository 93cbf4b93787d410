"""The balancer: what its modes promise, and that it remembers all it needs."""

import math

import pytest
import torch
from torch import Tensor

from mmx.methods.mh_cvse.balancer import LossBalancer

BASE = {"fused": 3.0, "instance": 5.0, "consensus": 1.0, "divergence": 2.0}
K = len(BASE)


def balancer(mode: str, **options: float) -> LossBalancer:
    """In training mode."""
    return LossBalancer(BASE, mode, **options).train()


def losses(*values: float) -> dict[str, Tensor]:
    """One number a term, with a gradient."""
    return {name: torch.tensor(value, requires_grad=True) for name, value in zip(BASE, values, strict=True)}


def relative(moved: LossBalancer) -> Tensor:
    """w_i / w0_i."""
    return moved.weights / moved.base


def test_static_weights_are_the_base_weights() -> None:
    total = balancer("static")(losses(0.1, 0.2, 0.3, 0.4), epoch=0)

    assert total.item() == pytest.approx(3 * 0.1 + 5 * 0.2 + 1 * 0.3 + 2 * 0.4)


@pytest.mark.parametrize("mode", ["static", "value", "dwa"])
def test_weights_over_base_weights_sum_to_their_number(mode: str) -> None:
    moved = balancer(mode)
    for step in range(12):
        moved(losses(*torch.rand(4).tolist()), epoch=step // 3)
        assert relative(moved).sum().item() == pytest.approx(K, rel=1e-5)


@pytest.mark.parametrize("mode", ["static", "value", "dwa", "uncertainty"])
def test_no_gradient_passes_through_the_weights(mode: str) -> None:
    """The gradient of the total for a term is that term's weight and nothing else."""
    moved = balancer(mode)
    for step in range(8):
        terms = losses(*torch.rand(4).tolist())
        moved(terms, epoch=step // 2).backward()
    gradients = torch.stack([term.grad for term in terms.values()])

    torch.testing.assert_close(gradients, moved.weights)


def test_by_value_a_loss_that_doubles_gains_weight_over_the_others() -> None:
    moved = balancer("value")
    for _ in range(50):
        moved(losses(0.2, 0.2, 0.2, 0.2), epoch=0)
    before = relative(moved)
    for _ in range(10):
        moved(losses(0.4, 0.2, 0.2, 0.2), epoch=0)

    assert (relative(moved)[0] > before[0]) and (relative(moved)[1:] < before[1:]).all()


def test_by_value_the_weights_are_those_of_the_formula() -> None:
    """One step of start, then the running mean at decay .5: (.5 2 + 1 4) / 1.5 = 10/3, over the start's 2."""
    moved = balancer("value", decay=0.5, start_steps=1)
    moved(losses(2.0, 1.0, 1.0, 1.0), epoch=0)
    moved(losses(4.0, 1.0, 1.0, 1.0), epoch=0)

    ratio = torch.tensor([(0.5 * 2 + 4) / 1.5 / 2, 1.0, 1.0, 1.0])
    torch.testing.assert_close(relative(moved), K * ratio / ratio.sum())


def test_by_value_the_size_of_a_loss_is_of_no_meaning_only_how_it_moved() -> None:
    small, large = balancer("value"), balancer("value")
    for _ in range(5):
        values = torch.rand(4)
        small(losses(*values.tolist()), epoch=0)
        large(losses(*(1000 * values).tolist()), epoch=0)

    torch.testing.assert_close(small.weights, large.weights)


def test_by_value_without_focus_is_static() -> None:
    moved = balancer("value", focus=0.0)
    for _ in range(5):
        moved(losses(*torch.rand(4).tolist()), epoch=0)

    torch.testing.assert_close(moved.weights, moved.base)


def test_by_value_with_focus_below_zero_the_quick_losses_gain() -> None:
    moved = balancer("value", focus=-1.0, start_steps=1)
    for value in (1.0, 0.1, 0.1, 0.1):
        moved(losses(value, 1.0, 1.0, 1.0), epoch=0)

    assert relative(moved)[0] > relative(moved)[1]


@pytest.mark.parametrize("focus", [1.0, -1.0])
def test_by_value_losses_at_zero_leave_weights_finite(focus: float) -> None:
    moved = balancer("value", focus=focus)
    for values in ([0.0] * 4, [0.3, 0.0, 0.3, 0.3], [0.0] * 4):
        total = moved(losses(*values), epoch=0)

    assert torch.isfinite(moved.weights).all() and torch.isfinite(total)


def test_learned_weights_begin_at_the_base_weights_and_settle_at_one_over_the_loss() -> None:
    moved = balancer("uncertainty")
    terms = losses(0.5, 0.25, 2.0, 1.0)
    moved(terms, epoch=0)
    torch.testing.assert_close(moved.weights, moved.base)
    optimizer = torch.optim.Adam(moved.parameters(), 0.05)
    for _ in range(600):
        optimizer.zero_grad()
        moved(terms, epoch=0).backward()
        optimizer.step()

    torch.testing.assert_close(moved.weights, torch.tensor([2.0, 4.0, 0.5, 1.0]), atol=0.02, rtol=0.02)


def test_learned_weights_of_a_loss_at_zero_stay_within_bounds() -> None:
    moved = balancer("uncertainty")
    optimizer = torch.optim.Adam(moved.parameters(), 0.5)
    for _ in range(40):
        optimizer.zero_grad()
        moved(losses(0.0, 0.0, 1.0, 1.0), epoch=0).backward()
        optimizer.step()
    moved(losses(0.0, 0.0, 1.0, 1.0), epoch=0)

    assert moved.weights[:2].tolist() == pytest.approx([math.exp(3)] * 2)


def test_by_fall_weights_wait_for_two_epochs_and_then_favour_what_falls_least() -> None:
    """Means of epochs: 1 1 1 1, then .5 1 1 1; ratios .5 1 1 1 at temperature 2."""
    moved, values = balancer("dwa"), [(1.0, 1.0, 1.0, 1.0), (0.5, 1.0, 1.0, 1.0), (9.0, 9.0, 9.0, 9.0)]
    for epoch in (0, 1):
        for shift in (-0.1, 0.1):
            moved(losses(*(value + shift for value in values[epoch])), epoch)
            torch.testing.assert_close(moved.weights, moved.base)

    moved(losses(*values[2]), epoch=2)

    expected = K * (torch.tensor([0.5, 1.0, 1.0, 1.0]) / 2).softmax(0)
    torch.testing.assert_close(relative(moved), expected)
    moved(losses(*values[2]), epoch=2)
    torch.testing.assert_close(relative(moved), expected)


def test_by_fall_the_third_epoch_is_compared_with_the_second() -> None:
    moved = balancer("dwa")
    for epoch, value in enumerate((4.0, 2.0, 2.0, 5.0)):
        moved(losses(value, 1.0, 1.0, 1.0), epoch)

    torch.testing.assert_close(relative(moved), torch.ones(K))


@pytest.mark.parametrize("mode", ["value", "dwa", "uncertainty"])
def test_evaluation_remembers_nothing(mode: str) -> None:
    moved = balancer(mode)
    moved(losses(1.0, 2.0, 3.0, 4.0), epoch=0)
    before = {name: value.clone() for name, value in moved.state_dict().items()}

    moved.eval()(losses(9.0, 1.0, 1.0, 1.0), epoch=3)

    assert all(torch.equal(value, before[name]) for name, value in moved.state_dict().items())


@pytest.mark.parametrize("mode", ["value", "dwa"])
def test_a_step_that_is_not_to_be_remembered_is_weighed_as_before(mode: str) -> None:
    moved = balancer(mode)

    total = moved(losses(9.0, 1.0, 1.0, 1.0), epoch=None)

    assert total.item() == pytest.approx(3 * 9 + 5 + 1 + 2)
    assert moved.steps == 0


@pytest.mark.parametrize("mode", ["value", "dwa", "uncertainty"])
def test_from_its_state_it_goes_on_bit_for_bit(mode: str) -> None:
    values, whole, first = torch.rand(10, 4).tolist(), balancer(mode), balancer(mode)
    for step in range(10):
        whole(losses(*values[step]), epoch=step // 2)
    for step in range(5):
        first(losses(*values[step]), epoch=step // 2)
    second = balancer(mode)
    second.load_state_dict(first.state_dict())
    for step in range(5, 10):
        second(losses(*values[step]), epoch=step // 2)

    assert torch.equal(second.weights, whole.weights)


def test_gauges_are_the_weights_by_name() -> None:
    assert balancer("static").gauges() == BASE
