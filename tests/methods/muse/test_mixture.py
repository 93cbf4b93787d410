"""The mixture of discretised logistics as a probability."""

import math

import pytest
import torch
from torch import Tensor

from mmx.methods.muse.mixture import draw, log_bins, mixture_nll, outputs_of

VALUES = torch.linspace(-1, 1, 256, dtype=torch.float64)


@pytest.mark.parametrize("log_scale", [-7.0, -3.0, 0.0, 2.0])
@pytest.mark.parametrize("mean", [-1.3, 0.1, 1.0])
def test_the_256_values_of_a_colour_sum_to_one(mean: float, log_scale: float) -> None:
    bins = log_bins(VALUES, torch.tensor(mean), torch.tensor(log_scale, dtype=torch.float64))

    assert float(bins.exp().sum()) == pytest.approx(1.0, abs=1e-5)


def test_a_bin_is_the_area_under_the_density() -> None:
    mean, scale, value = 0.2, 0.05, VALUES[150]
    points = torch.linspace(float(value) - 1 / 255, float(value) + 1 / 255, 20_001, dtype=torch.float64)
    power = torch.exp(-(points - mean) / scale)
    area = torch.trapezoid(power / (scale * (1 + power) ** 2), points)

    found = log_bins(value, torch.tensor(mean), torch.tensor(math.log(scale), dtype=torch.float64)).exp()

    torch.testing.assert_close(found, area, atol=1e-8, rtol=1e-5)


def random_outputs(mixtures: int) -> Tensor:
    return torch.randn(1, outputs_of(mixtures), 1, 1, generator=torch.Generator().manual_seed(3))


def test_the_chain_of_red_green_and_blue_sums_to_one() -> None:
    """Red has all but nothing of its weight outside sixteen values; green and blue go through all."""
    outputs = random_outputs(1)
    outputs[:, 1:4] = torch.tensor([0.0, -0.2, 0.3])[None, :, None, None]
    outputs[:, 4:7] = -6.5
    values, total = torch.linspace(-1, 1, 256), 0.0
    for red in range(120, 136):
        first = torch.full((256 * 256,), -1 + 2 * red / 255)
        colours = torch.stack([first, values.repeat_interleave(256), values.repeat(256)], dim=1)
        grid = colours[..., None, None]
        total += float((-mixture_nll(grid, outputs.expand(len(grid), -1, -1, -1))).exp().double().sum())

    assert total == pytest.approx(1.0, abs=1e-3)


def test_the_slope_is_finite_at_the_least_scale_and_at_both_ends() -> None:
    outputs = random_outputs(4)
    outputs[:, 4 + 12 : 4 + 24] = -20.0
    outputs = outputs.expand(3, -1, -1, -1).clone().requires_grad_(True)
    pixels = torch.tensor([-1.0, 1.0, 0.0])[:, None, None, None].expand(3, 3, 1, 1)

    loss = mixture_nll(pixels, outputs)
    loss.sum().backward()

    assert loss.isfinite().all() and outputs.grad.isfinite().all()


def test_the_order_of_the_logistics_does_not_matter() -> None:
    mixtures = 4
    outputs, order = random_outputs(mixtures), torch.tensor([2, 0, 3, 1])
    pixels = torch.tensor([0.1, -0.4, 0.7]).view(1, 3, 1, 1)
    rest = outputs[:, mixtures:].unflatten(1, (3, mixtures, 3))[:, :, order].flatten(1, 3)
    other = torch.cat([outputs[:, :mixtures][:, order], rest], dim=1)

    torch.testing.assert_close(mixture_nll(pixels, other), mixture_nll(pixels, outputs))


def test_colours_are_drawn_by_the_seed_where_the_logistics_are() -> None:
    outputs = torch.zeros(2, outputs_of(1))
    outputs[:, 1:4], outputs[:, 4:7] = torch.tensor([0.5, -0.5, 0.0]), -7.0

    drawn = draw(outputs, torch.Generator().manual_seed(1))

    torch.testing.assert_close(drawn, torch.tensor([[0.5, -0.5, 0.0]]).expand(2, 3), atol=0.02, rtol=0)
    assert torch.equal(drawn, draw(outputs, torch.Generator().manual_seed(1)))
