"""Weights of torchvision's networks, from torchvision's own cache or site, and which networks are known."""

import os
from pathlib import Path
from pickle import UnpicklingError

import torch
import torchvision
from torch import nn

from mmx.core.errors import ArtifactError, UsageError, first_line
from mmx.core.names import unknown
from mmx.core.network import offline, reachable
from mmx.encoders.weights import WAYS_ON

RESNETS = tuple(kind for kind in torchvision.models.list_models(torchvision.models) if "resne" in kind)
DETECTORS = tuple(
    kind
    for kind in torchvision.models.list_models(torchvision.models.detection)
    if kind.startswith("fasterrcnn")
)
BROKEN = (OSError, RuntimeError, EOFError, KeyError, ValueError, UnpicklingError)
"""What damaged files, and files of another network, raise."""


def unknown_kind(kind: str) -> UsageError:
    """The error for a network that torchvision has not, or that mmx does not know how to read."""
    return unknown("torchvision encoder", kind, (*RESNETS, *DETECTORS), "mmx extract --help")


def load_published(name: str, kind: str, network: nn.Module) -> None:
    """Fill a network with the newest weights that torchvision publishes for its kind, fetched if need be.

    Raises:
        ArtifactError: when they are not in the cache and cannot be fetched, or are broken.
    """
    url = torchvision.models.get_model_weights(kind).DEFAULT.url
    cached = Path(torch.hub.get_dir()) / "checkpoints" / os.path.basename(url)
    if not cached.is_file() and (offline() or not reachable(url)):
        raise ArtifactError(
            f"the weights of '{name}' are not in the cache '{cached.parent}' and cannot be fetched from "
            f"here. Put '{cached.name}' there or set TORCH_HOME; {WAYS_ON}"
        )
    try:
        state = torch.hub.load_state_dict_from_url(
            url, progress=False, check_hash=True, weights_only=True, map_location="cpu"
        )
        network.load_state_dict(state)
    except BROKEN as error:
        raise ArtifactError(
            f"the weights of '{name}' ('{cached}') cannot be loaded: {first_line(error)}. Delete the file."
        ) from error
