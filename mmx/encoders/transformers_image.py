"""Image towers of transformers' architectures: CLIP, SigLIP, ResNet and ViT, from a folder or from a
configuration.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPVisionModelWithProjection, ResNetModel, SiglipVisionModel, ViTModel

from mmx.core.errors import UsageError
from mmx.core.view import View
from mmx.encoders.image_tower import IMAGENET_DEVIATION, IMAGENET_MEAN, ImageTower, Project, ReadPixels
from mmx.encoders.said import odd, read_said, whole_number
from mmx.encoders.weights import read_weights

PILLOW_BILINEAR = 2


def read_clip(network: nn.Module, pixels: Tensor) -> dict[str, Tensor]:
    """CLIP: the class token after the last norm, the patches after the same norm, and the projected class
    token.
    """
    vision = network.vision_model
    seen = vision(pixel_values=pixels, interpolate_pos_encoding=True)
    embedding = functional.normalize(network.visual_projection(seen.pooler_output), dim=-1)
    patches = vision.post_layernorm(seen.last_hidden_state[:, 1:])
    return {"image_features": seen.pooler_output, "patch_features": patches, "image_embedding": embedding}


def read_siglip(network: nn.Module, pixels: Tensor) -> dict[str, Tensor]:
    """SigLIP: the attention pool is both the pooled feature and, at unit length, the embedding."""
    seen = network(pixel_values=pixels, interpolate_pos_encoding=True)
    embedding = functional.normalize(seen.pooler_output, dim=-1)
    patches = seen.last_hidden_state
    return {"image_features": seen.pooler_output, "patch_features": patches, "image_embedding": embedding}


def read_vit(network: nn.Module, pixels: Tensor) -> dict[str, Tensor]:
    """ViT: the class token and the patches, after the last norm."""
    seen = network(pixel_values=pixels, interpolate_pos_encoding=True).last_hidden_state
    return {"image_features": seen[:, 0], "patch_features": seen[:, 1:]}


def read_resnet(network: nn.Module, pixels: Tensor) -> dict[str, Tensor]:
    """ResNet: the cells of the last map, row by row, and their mean."""
    patches = network(pixel_values=pixels).last_hidden_state.flatten(2).transpose(1, 2)
    return {"image_features": patches.mean(dim=1), "patch_features": patches}


def project_clip(network: nn.Module, patches: Tensor) -> Tensor:
    """CLIP: what the class token is projected with."""
    return network.visual_projection(patches)


def project_siglip(network: nn.Module, patches: Tensor) -> Tensor:
    """SigLIP: what the attention pool makes of a picture that is one patch."""
    alone = patches.flatten(0, 1)[:, None]
    return network.head(alone).unflatten(0, patches.shape[:2])


@dataclass(frozen=True)
class Family:
    """How one architecture is made and read."""

    model: type[nn.Module]
    read: ReadPixels
    width: Callable[[Any], int]
    embedding_width: Callable[[Any], int | None] = lambda _: None
    keywords: tuple[tuple[str, Any], ...] = ()
    project: Project | None = None


FAMILIES = {
    "clip": Family(
        CLIPVisionModelWithProjection,
        read_clip,
        lambda c: c.hidden_size,
        lambda c: c.projection_dim,
        project=project_clip,
    ),
    "siglip": Family(
        SiglipVisionModel,
        read_siglip,
        lambda c: c.hidden_size,
        lambda c: c.hidden_size,
        project=project_siglip,
    ),
    "resnet": Family(ResNetModel, read_resnet, lambda c: c.hidden_sizes[-1]),
    "vit": Family(ViTModel, read_vit, lambda c: c.hidden_size, keywords=(("add_pooling_layer", False),)),
}


def load_image_folder(name: str, folder: Path, kind: str) -> ImageTower:
    """The image tower of a transformers folder; `kind` is the model type its configuration names.

    Raises:
        UsageError: when the architecture has no image tower that mmx knows.
        ArtifactError: when weights are missing or do not fit, or a file says what cannot be.
    """
    if kind not in FAMILIES:
        raise UsageError(
            f"'{name}' is of kind '{kind}', which gives no image features. Known: {', '.join(FAMILIES)}."
        )
    family = FAMILIES[kind]
    network = read_weights(name, family.model, folder, dict(family.keywords))
    file = folder / "preprocessor_config.json"
    view = _view(file, getattr(network.config, "image_size", 224))
    mean, deviation = (
        _colour(file, "image_mean", IMAGENET_MEAN),
        _colour(file, "image_std", IMAGENET_DEVIATION),
    )
    return wrap_image(name, kind, network, view, mean, deviation)


def wrap_image(
    name: str,
    kind: str,
    network: nn.Module,
    view: View,
    mean: tuple[float, ...] = IMAGENET_MEAN,
    deviation: tuple[float, ...] = IMAGENET_DEVIATION,
) -> ImageTower:
    """A network of a known family behind the common face."""
    family = FAMILIES[kind]
    width, embedding_width = family.width(network.config), family.embedding_width(network.config)
    return ImageTower(
        name, network, family.read, view, width, embedding_width, mean, deviation, family.project
    )


def _colour(file: Path, key: str, default: tuple[float, ...]) -> tuple[float, ...]:
    """Three numbers of a preprocessor file; deviations are divided by, so none is 0."""
    said = read_said(file).get(key, default)
    whole = (
        isinstance(said, list | tuple) and len(said) == 3 and all(isinstance(n, int | float) for n in said)
    )
    if not whole or (key == "image_std" and min(said) <= 0):
        raise odd(file, said)
    return tuple(said)


def _view(file: Path, image_size: int) -> View:
    """The view a preprocessor file asks for; without one the whole picture, squashed to the network's
    size.
    """
    said = read_said(file)
    interpolation = "bilinear" if said.get("resample") == PILLOW_BILINEAR else "bicubic"
    size = said.get("crop_size") if said.get("do_center_crop") else said.get("size")
    if isinstance(size, int):
        size = {"height": size, "width": size}
    if not isinstance(size, dict):
        return View(image_size, image_size, "squash", interpolation)
    short = size.get("shortest_edge")
    height, width = size.get("height", short), size.get("width", short)
    if not (whole_number(height) and whole_number(width)):
        raise odd(file, size)
    cropped = said.get("do_center_crop") or short is not None
    return View(height, width, "crop" if cropped else "squash", interpolation)
