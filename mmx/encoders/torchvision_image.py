"""ResNets of torchvision with their ImageNet weights, from torchvision's own cache or site."""

import torchvision
from torch import Tensor, nn

from mmx.core.view import View
from mmx.encoders.image_tower import ImageTower
from mmx.encoders.torchvision_weights import RESNETS, load_published, unknown_kind

VIEW = View(224, 224, "squash", "bilinear")


def read_resnet(network: nn.Module, pixels: Tensor) -> dict[str, Tensor]:
    """The 7 x 7 cells of the last map, row by row, and their mean."""
    seen = pixels
    for name, part in network.named_children():
        if name not in {"avgpool", "fc"}:
            seen = part(seen)
    patches = seen.flatten(2).transpose(1, 2)
    return {"image_features": patches.mean(dim=1), "patch_features": patches}


def load_torchvision(name: str, kind: str) -> ImageTower:
    """A ResNet or ResNeXt of torchvision with its newest ImageNet weights: F = 2048 (512 for 18 and 34), P =
    49.

    Raises:
        UsageError: for a network that torchvision has not, or that is no ResNet.
        ArtifactError: when the weights are not in the cache and cannot be fetched.
    """
    if kind not in RESNETS:
        raise unknown_kind(kind)
    network = torchvision.models.get_model(kind, weights=None)
    load_published(name, kind, network)
    width = network.fc.in_features
    network.fc = nn.Identity()
    return ImageTower(name, network, read_resnet, VIEW, width)
