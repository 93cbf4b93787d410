"""ResNets of torchvision with their ImageNet weights, from torchvision's own cache or site."""

import os
from pathlib import Path

import torch
import torchvision
from torch import Tensor, nn

from mmx.core.errors import ArtifactError
from mmx.core.names import unknown
from mmx.core.network import offline, reachable
from mmx.core.view import View
from mmx.encoders.image_tower import ImageTower
from mmx.encoders.weights import WAYS_ON

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
    known = [model for model in torchvision.models.list_models(torchvision.models) if "resne" in model]
    if kind not in known:
        raise unknown("torchvision encoder", kind, known, "mmx extract --help")
    weights = torchvision.models.get_model_weights(kind).DEFAULT
    network = torchvision.models.get_model(kind, weights=None)
    network.load_state_dict(_state(name, weights.url))
    width = network.fc.in_features
    network.fc = nn.Identity()
    return ImageTower(name, network, read_resnet, VIEW, width)


def _state(name: str, url: str) -> dict[str, Tensor]:
    """The weights from the cache, or fetched into it."""
    cached = Path(torch.hub.get_dir()) / "checkpoints" / os.path.basename(url)
    if not cached.is_file() and (offline() or not reachable(url)):
        raise ArtifactError(
            f"the weights of '{name}' are not in the cache '{cached.parent}' and cannot be fetched from "
            "here. "
            f"Put '{cached.name}' there or set TORCH_HOME; {WAYS_ON}"
        )
    try:
        return torch.hub.load_state_dict_from_url(
            url, progress=False, check_hash=True, weights_only=True, map_location="cpu"
        )
    except (OSError, RuntimeError) as error:
        raise ArtifactError(
            f"the weights of '{name}' ('{cached}') cannot be loaded: {error}. Delete the file."
        ) from error
