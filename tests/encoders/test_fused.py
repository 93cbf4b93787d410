"""Fused convolutions are the convolutions they were made of, wherever they run."""

import copy

import pytest
import torch
from timm.layers import Conv2dSame
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from mmx.encoders import fused
from mmx.encoders.fused import FusedConvolution, fuse


def _maps(batch: int, height: int, width: int, channels: int = 6) -> Tensor:
    return torch.randn(batch, channels, height, width, generator=torch.Generator().manual_seed(batch))


def _fused(*layers: nn.Module) -> nn.Module:
    made = nn.Sequential(*(copy.deepcopy(layer) for layer in layers)).eval()
    fuse(made)
    return made.requires_grad_(False).to(memory_format=torch.channels_last)


@torch.inference_mode()
@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("groups", [1, 6])
@pytest.mark.parametrize("size", [(8, 8), (9, 9), (8, 9), (7, 12), (2, 1)])
def test_padding_as_tensorflow_does_is_the_same_at_every_size(
    kernel: int, groups: int, size: tuple[int, int]
) -> None:
    same = Conv2dSame(6, 12, kernel, stride=2, groups=groups)
    made, maps = _fused(same, nn.ReLU6()), _maps(2, *size)

    torch.testing.assert_close(made(maps), same(maps).clamp(0, 6), rtol=1e-5, atol=1e-6)


@torch.inference_mode()
@pytest.mark.parametrize("activation", [nn.ReLU(), nn.ReLU6(), nn.Hardswish()])
def test_an_activation_is_joined_where_it_is_known_and_left_where_it_is_not(activation: nn.Module) -> None:
    plain = nn.Conv2d(6, 8, 3, 2, 1)
    made, maps = _fused(plain, activation), 9 * _maps(2, 8, 8)

    assert isinstance(made[0], FusedConvolution)
    assert isinstance(made[1], nn.Hardswish if isinstance(activation, nn.Hardswish) else nn.Identity)
    torch.testing.assert_close(made(maps), activation(plain(maps)), rtol=1e-5, atol=1e-5)


@torch.inference_mode()
def test_bits_do_not_depend_on_what_was_seen_before() -> None:
    plain, maps = nn.Conv2d(64, 256, 1), _maps(4, 14, 14, 64)
    fresh, used = _fused(plain, nn.ReLU()), _fused(plain, nn.ReLU())
    used(_maps(1, 5, 3, 64))

    assert torch.equal(fresh(maps), used(maps))


@torch.inference_mode()
def test_weights_that_stand_in_for_a_call_are_used_in_it_and_in_no_other() -> None:
    plain, maps = nn.Conv2d(6, 8, 3), _maps(2, 8, 8)
    made = _fused(plain, nn.ReLU())
    before = made(maps)
    blended = {"0.weight": plain.weight * 2, "0.bias": plain.bias}

    torch.testing.assert_close(
        functional_call(made, blended, (maps,)),
        functional.conv2d(maps, plain.weight * 2, plain.bias).relu(),
        rtol=1e-5,
        atol=1e-5,
    )
    assert torch.equal(made(maps), before)


@pytest.mark.filterwarnings("ignore:.*jit.trace:FutureWarning", "ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("layer", [nn.Conv2d(6, 8, 3, 2, 1), Conv2dSame(6, 8, 3, 2)])
def test_a_gradient_and_a_graph_go_through_ordinary_operators(layer: nn.Module) -> None:
    made, maps = _fused(layer, nn.ReLU()), _maps(1, 8, 8).requires_grad_()

    made(maps).square().sum().backward()
    graph = str(torch.jit.trace(made, maps.detach()).inlined_graph)

    wanted = maps.detach().clone().requires_grad_()
    layer(wanted).relu().square().sum().backward()
    torch.testing.assert_close(maps.grad, wanted.grad)
    assert "mkldnn" not in graph
    assert "conv" in graph


@torch.inference_mode()
def test_without_onednn_the_function_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    made, maps = _fused(Conv2dSame(6, 8, 3, 2), nn.ReLU6()), _maps(2, 8, 8)
    fast = made(maps)

    monkeypatch.setattr(fused, "_is_there", lambda: False)

    torch.testing.assert_close(made(maps), fast, rtol=1e-5, atol=1e-6)


def test_weights_keep_their_names_and_values() -> None:
    plain = nn.Sequential(nn.Conv2d(6, 8, 3, padding=1), nn.ReLU())
    made = _fused(*plain)

    assert list(made.state_dict()) == list(plain.state_dict())
    assert all(torch.equal(made.state_dict()[name], value) for name, value in plain.state_dict().items())
