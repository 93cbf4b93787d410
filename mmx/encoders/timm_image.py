"""EfficientNet-Lite0 from timm, with the ImageNet weights that ship in a registry package.

Source: the package's weights were converted from TensorFlow; they hold the tensors of timm's
`tf_efficientnet_lite0` in the same order under other names, and read (x - 127) / 128 of pixels 0..255.
"""

import hashlib
from pathlib import Path

import torch
from torch import Tensor, nn

from mmx.core.errors import ArtifactError, MissingExtraError
from mmx.core.seed import derive_seed
from mmx.core.view import View
from mmx.encoders.batch_norm import settle_batch_norm
from mmx.encoders.image_tower import ImageTower

try:
    import timm
except ImportError:
    timm = None

INSTALL = 'pip install "mmx[offline]"'
LITE0_MEAN, LITE0_DEVIATION = (127 / 255,) * 3, (128 / 255,) * 3
LITE0_VIEW = View(224, 224, "squash", "bicubic")
LITE0_SHA256 = "57934424"
"""The first digits of the file's hash; they are also in the file's name."""
TINY_VIEW = View(64, 64, "squash", "bilinear")


def read_timm(network: nn.Module, pixels: Tensor) -> dict[str, Tensor]:
    """The cells of the last map, row by row, and their mean."""
    patches = network.forward_features(pixels).flatten(2).transpose(1, 2)
    return {"image_features": patches.mean(dim=1), "patch_features": patches}


def make_timm(kind: str) -> nn.Module:
    """A timm network without pretrained weights.

    Raises:
        MissingExtraError: when timm is not installed.
    """
    if timm is None:
        raise MissingExtraError(f"an EfficientNet needs timm, which is not installed. Install it: {INSTALL}")
    return timm.create_model(kind, pretrained=False)


def load_lite0(name: str, file: Path) -> ImageTower:
    """EfficientNet-Lite0 with ImageNet weights: F = 1280, a grid of 7 x 7.

    Raises:
        MissingExtraError: when timm is not installed.
        ArtifactError: when the file is not the one the package ships.
    """
    network = load_lite0_classifier(file)
    network.reset_classifier(0)
    return ImageTower(name, network, read_timm, LITE0_VIEW, 1280, None, LITE0_MEAN, LITE0_DEVIATION)


def load_lite0_classifier(file: Path) -> nn.Module:
    """The same network with its head of 1,000 ImageNet classes."""
    network = make_timm("tf_efficientnet_lite0")
    if not file.is_file() or not hashlib.sha256(file.read_bytes()).hexdigest().startswith(LITE0_SHA256):
        raise ArtifactError(
            f"'{file}' is not the file its package ships. Install the package again: {INSTALL}"
        )
    held = torch.load(file, map_location="cpu", weights_only=True)
    network.load_state_dict(rename_by_order(file, held, network.state_dict()))
    return network.eval()


def rename_by_order(file: Path, held: dict[str, Tensor], wanted: dict[str, Tensor]) -> dict[str, Tensor]:
    """The held tensors under the wanted names, matched by place and checked by shape.

    Raises:
        ArtifactError: when number or shapes differ.
    """
    pairs = dict(zip(wanted, held.values(), strict=False))
    if len(held) != len(wanted) or any(wanted[name].shape != tensor.shape for name, tensor in pairs.items()):
        raise ArtifactError(
            f"'{file}' holds the weights of another network. Install the package again: {INSTALL}"
        )
    return pairs


def random_efficientnet() -> ImageTower:
    """A tiny EfficientNet with drawn weights.

    Raises:
        MissingExtraError: when timm is not installed.
    """
    name = "random:efficientnet"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(name))
        network = make_timm("test_efficientnet")
    network.reset_classifier(0)
    settle_batch_norm(network, network.forward_features)
    return ImageTower(name, network, read_timm, TINY_VIEW, network.num_features)
