"""Pooling of regions and words: by gates, by rank, by their mean."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from mmx.core.discover import find_method
from mmx.core.settings import resolve
from mmx.methods.mh_cvse.generalized_pooling import GeneralizedPooling, largest_first
from mmx.methods.mh_cvse.pooling import GatedPooling, MeanPooling, build_pooling
from mmx.methods.mh_cvse.settings import MhCvseSettings
from mmx.methods.mh_cvse.slot_norm import SlotNorm

B, T, D = 3, 5, 8


def some_parts() -> tuple[torch.Tensor, torch.Tensor]:
    """Random parts; the second item has three, the third one."""
    return torch.randn(B, T, D), torch.arange(T) < torch.tensor([5, 3, 1])[:, None]


def pooling(kind: str, norm: str = "layer", normed: bool = True) -> nn.Module:
    """The pooling of the tiny preset at width 8, in evaluation mode."""
    changes = {"pooling": kind, "gate_norm": norm, "slots": T, "width": D, "gpo_width": 4}
    layers = [("tiny", find_method("mh-cvse").presets["tiny"]), ("test", changes)]
    return build_pooling(resolve(MhCvseSettings, layers, "")[0], normed).eval()


EVERY = [pooling("gated"), pooling("gated", normed=False), pooling("mean"), pooling("gpo")]


@pytest.mark.parametrize("pool", EVERY, ids=["gated", "gated-bare", "mean", "gpo"])
def test_the_order_of_parts_is_of_no_meaning(pool: nn.Module) -> None:
    parts, mask, order = torch.randn(B, T, D), torch.ones(B, T, dtype=torch.bool), torch.randperm(T)

    torch.testing.assert_close(pool(parts[:, order], mask), pool(parts, mask), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("pool", [*EVERY, pooling("gated", "batch")], ids=[*"abcd", "slots"])
def test_padding_cannot_change_what_is_pooled(pool: nn.Module) -> None:
    parts, mask = some_parts()
    rubbish = parts.masked_fill(~mask[..., None], 1e4)

    torch.testing.assert_close(pool(rubbish, mask), pool(parts, mask))


@pytest.mark.parametrize("pool", EVERY, ids=["gated", "gated-bare", "mean", "gpo"])
def test_a_single_part_is_what_is_pooled(pool: nn.Module) -> None:
    part = torch.randn(2, 1, D)

    torch.testing.assert_close(pool(part, torch.ones(2, 1, dtype=torch.bool)), part[:, 0])


def test_slots_tie_a_region_to_its_place() -> None:
    pool = pooling("gated", "batch")
    pool.part_norm.mean.copy_(torch.arange(T))
    parts, mask = torch.randn(B, T, D), torch.ones(B, T, dtype=torch.bool)

    assert isinstance(pool.part_norm, SlotNorm)
    assert not torch.allclose(pool(parts.flip(1), mask), pool(parts, mask), atol=1e-3)


def test_the_gates_of_a_caption_are_those_of_the_formula() -> None:
    pool, parts = GatedPooling(D, 0.4, None, None).eval(), torch.randn(1, T, D)
    mean = functional.normalize(parts.mean(1), dim=-1)
    scores = [
        pool.score(pool.part_gate(parts[0, t]).tanh() * pool.mean_gate(mean[0]).tanh()).item()
        for t in range(T)
    ]
    weights = torch.tensor(scores).softmax(0)

    pooled = pool(parts, torch.ones(1, T, dtype=torch.bool))

    torch.testing.assert_close(pooled[0], (weights[:, None] * parts[0]).sum(0))


def test_the_gates_of_an_image_are_normed_and_its_mean_is_not_of_unit_length() -> None:
    norms = nn.LayerNorm(D), nn.LayerNorm(D)
    pool, parts = GatedPooling(D, 0.4, *norms).eval(), 3 * torch.randn(1, T, D)
    asked = norms[1](pool.mean_gate(parts.mean(1)))[0].tanh()
    scores = [pool.score(norms[0](pool.part_gate(parts[0, t])).tanh() * asked).item() for t in range(T)]

    weights = pool.weights(parts, torch.ones(1, T, dtype=torch.bool))

    torch.testing.assert_close(weights[0], torch.tensor(scores).softmax(0))


def test_weights_of_parts_sum_to_one_and_are_exactly_zero_on_padding() -> None:
    parts, mask = some_parts()

    weights = pooling("gated").weights(parts, mask)

    torch.testing.assert_close(weights.sum(1), torch.ones(B))
    assert weights[~mask].eq(0).all()


def test_the_mean_is_the_mean() -> None:
    parts = torch.randn(B, T, D)

    torch.testing.assert_close(MeanPooling()(parts, torch.ones(B, T, dtype=torch.bool)), parts.mean(1))


def test_by_rank_the_largest_values_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights .5 .3 .2 on (1 5 3) sorted to (5 3 1), and on (2 0 4) sorted to (4 2 0)."""
    pool = GeneralizedPooling(4, 0.1)
    monkeypatch.setattr(pool, "weights", lambda count, places: torch.tensor([[0.5, 0.3, 0.2]]))
    parts = torch.tensor([[[1.0, 2.0], [5.0, 0.0], [3.0, 4.0]]])

    pooled = pool(parts, torch.ones(1, 3, dtype=torch.bool))

    torch.testing.assert_close(pooled, torch.tensor([[2.5 + 0.9 + 0.2, 2.0 + 0.6 + 0.0]]))


@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.bfloat16])
def test_the_order_is_that_of_a_sort_and_gradients_go_back_to_their_places(kind: torch.dtype) -> None:
    values = torch.randn(2, 3, 7).to(kind).requires_grad_()
    slopes = torch.arange(7.0).to(kind).expand(2, 3, 7)

    ranked = largest_first(values)
    ranked.backward(slopes)

    expected = values.detach().sort(descending=True)
    assert torch.equal(ranked, expected.values)
    assert torch.equal(values.grad.gather(-1, expected.indices), slopes)


def test_by_rank_with_equal_scores_is_the_mean() -> None:
    pool, (parts, mask) = GeneralizedPooling(4, 0.1), some_parts()
    nn.init.zeros_(pool.score.weight)

    mean = torch.stack([parts[i][mask[i]].mean(0) for i in range(B)])

    torch.testing.assert_close(pool(parts, mask), mean)


def test_weights_of_ranks_depend_on_the_number_of_parts_alone() -> None:
    pool = GeneralizedPooling(4, 0.1).eval()
    nn.init.normal_(pool.score.weight)

    weights = pool.weights(torch.tensor([4, 2, 4, 7]), places=9)

    torch.testing.assert_close(weights.sum(1), torch.ones(4))
    assert torch.equal(weights[0], weights[2])
    torch.testing.assert_close(weights[1, :2], pool.weights(torch.tensor([2]), places=2)[0])
    assert weights[1, 2:].eq(0).all() and weights[3, 7:].eq(0).all()


def test_position_codes_are_sines_and_cosines_of_the_place() -> None:
    codes = GeneralizedPooling(4, 0.1)._codes(3, torch.device("cpu"))

    place = torch.tensor(2.0)
    expected = torch.stack([place.sin(), place.cos(), (place / 100).sin(), (place / 100).cos()])
    torch.testing.assert_close(codes[2], expected)


def test_pooling_by_rank_learns_its_weights() -> None:
    pool, parts = GeneralizedPooling(4, 0.1), torch.randn(B, T, D, requires_grad=True)

    pool(parts, some_parts()[1]).sum().backward()

    assert all(parameter.grad.abs().sum() > 0 for parameter in pool.parameters())
    assert torch.isfinite(parts.grad).all()
