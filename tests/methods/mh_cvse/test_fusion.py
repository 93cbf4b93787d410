"""Fusion of instance and consensus: fixed weights to begin with, and learned ones."""

import pytest
import torch
from torch.nn import functional

from mmx.methods.mh_cvse.fusion import AdaptiveFusion, ConcatFusion, WeightedFusion, build_fusion

B, D = 3, 6


def some_pairs() -> tuple[torch.Tensor, torch.Tensor]:
    """Instances and consensus of unit length."""
    return functional.normalize(torch.randn(B, D), dim=-1), functional.normalize(torch.randn(B, D), dim=-1)


@pytest.mark.parametrize("share", [0.85, 0.9])
def test_at_the_start_it_is_the_fixed_sum_of_the_source(share: float) -> None:
    instance, consensus = some_pairs()
    fixed = functional.normalize(share * instance + (1 - share) * consensus, dim=-1)

    torch.testing.assert_close(WeightedFusion(share)(instance, consensus), fixed, atol=1e-6, rtol=0)


def test_the_weights_are_learned() -> None:
    fusion, (instance, consensus) = WeightedFusion(0.85), some_pairs()
    optimizer, before = torch.optim.Adam(fusion.parameters(), 0.01), fusion.theta.detach().clone()

    fusion(instance, consensus)[:, 0].sum().backward()
    optimizer.step()

    assert fusion.theta.grad.abs().min() > 0
    assert (fusion.theta != before).all()


def test_concat_is_a_linear_map_of_both() -> None:
    fusion, (instance, consensus) = ConcatFusion(D), some_pairs()
    mapped = instance @ fusion.map.weight[:, :D].T + consensus @ fusion.map.weight[:, D:].T

    torch.testing.assert_close(fusion(instance, consensus), functional.normalize(mapped, dim=-1))


@pytest.mark.parametrize(("bias", "taken"), [(50.0, 0), (-50.0, 1)])
def test_adaptive_fusion_can_take_either_alone(bias: float, taken: int) -> None:
    fusion, pair = AdaptiveFusion(D), some_pairs()
    fusion.weigh.bias.data.fill_(bias)

    torch.testing.assert_close(fusion(*pair), pair[taken])


def test_adaptive_fusion_weighs_each_item_by_the_mean_of_both() -> None:
    fusion, (instance, consensus) = AdaptiveFusion(D), some_pairs()
    alpha = torch.stack([fusion.weigh((instance[b] + consensus[b]) / 2).sigmoid() for b in range(B)])
    expected = functional.normalize(alpha * instance + (1 - alpha) * consensus, dim=-1)

    torch.testing.assert_close(fusion(instance, consensus), expected)


@pytest.mark.parametrize("kind", ["weighted", "concat", "adaptive"])
def test_every_fusion_has_unit_length(kind: str) -> None:
    torch.testing.assert_close(build_fusion(kind, D, 0.85)(*some_pairs()).norm(dim=1), torch.ones(B))
