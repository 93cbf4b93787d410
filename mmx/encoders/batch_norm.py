"""BatchNorm of frozen networks: folded into the convolution before it, and measured once where nothing was
learnt.
"""

import itertools
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from mmx.core.seed import derive_seed
from mmx.encoders.fused import fuse


def freeze(encoder: nn.Module) -> nn.Module:
    """The encoder made for running only: BatchNorm folded into the convolutions, activations joined to them,
    weights in the order that is fast.

    The same function but for the order in which numbers are summed, as with another number of threads.
    Changes the encoder in place; its fingerprint stays that of the weights it came with, which must not be
    changed any more.
    """
    fold(encoder)
    if _runs_in_order(encoder):
        fuse(encoder)
    for parameter in encoder.parameters():
        parameter.requires_grad_(False)
    return encoder.eval().to(memory_format=torch.channels_last)


def fold(encoder: nn.Module) -> nn.Module:
    """The encoder with every BatchNorm folded into the convolution before it.

    The same function with fewer passes over memory: for running and, since averages never move, for training.

    Changes the encoder in place; its fingerprint stays that of the weights it came with.
    """
    if _runs_in_order(encoder):
        for module in list(encoder.modules()):
            _fold_children(module)
    return encoder.to(memory_format=torch.channels_last)


def settle_batch_norm(network: nn.Module, run: Callable[[Tensor], object]) -> None:
    """Measure the running averages of every BatchNorm on one drawn batch, so that drawn weights tell
    pictures apart.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
        norm.train()
    with torch.no_grad():
        run(_blots())
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.eval()


def _runs_in_order(encoder: nn.Module) -> bool:
    """Whether what is registered right behind a convolution also runs there: nobody says so of a plug-in."""
    return not str(getattr(encoder, "name", "")).startswith("plugin:")


def _fold_children(module: nn.Module) -> None:
    """Fold each BatchNorm that is registered right behind a convolution: in every network we load it also
    runs there.
    """
    children = list(module.named_children())
    for (name, convolution), (norm_name, norm) in itertools.pairwise(children):
        if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            setattr(module, name, fuse_conv_bn_eval(convolution.eval(), norm.eval()))
            # timm's BatchNorm carries the activation that follows it
            setattr(module, norm_name, getattr(norm, "act", nn.Identity()))


def _blots() -> Tensor:
    """[64, 3, 64, 64] float: smooth blots of colour at two scales, of zero mean."""
    generator = torch.Generator().manual_seed(derive_seed("blots"))
    coarse = torch.randn(64, 3, 4, 4, generator=generator)
    fine = torch.randn(64, 3, 16, 16, generator=generator)
    return sum(functional.interpolate(scale, size=(64, 64), mode="bilinear") for scale in (coarse, fine))
