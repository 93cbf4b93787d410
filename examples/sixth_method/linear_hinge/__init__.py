"""linear-hinge: one linear map a modality, trained so that a right pair beats every wrong one by a margin.

Source: arXiv 1707.05612, section 3.1 (the sum of hinges).
Shapes: B images, C captions, F encoder width, D shared width.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmx.core.assets import Assets
from mmx.core.batch import Batch
from mmx.core.method import Method, ParameterGroup, Schedule, Stage
from mmx.core.settings import setting
from mmx.core.task import Retrieval
from mmx.core.tower import Tower, TowerUse


@dataclass(frozen=True)
class LinearHingeSettings:
    """Six numbers and two names."""

    image_encoder: str = setting("efficientnet-lite0", "Encoder of the images, frozen.", source="example")
    text_encoder: str = setting("minilm", "Encoder of the captions, frozen.", source="example")
    width: int = setting(256, "Width of the shared space.", source="example", low=1)
    margin: float = setting(
        0.2, "By how much a right pair should win.", source="arXiv 1707.05612, 4", low=0, high=2
    )
    lr: float = setting(1e-3, "Rate of both maps.", source="example", low=0)
    weight_decay: float = setting(1e-4, "Decoupled weight decay.", source="example", low=0)
    batch_size: int = setting(128, "Images a step.", source="arXiv 1707.05612, 4", low=1)
    epochs: int = setting(15, "Passes over the images.", source="example", low=0)


class LinearPair(nn.Module):
    """Two linear maps into one space."""

    def __init__(self, settings: LinearHingeSettings, towers: dict[str, Tower]) -> None:
        super().__init__()
        self.margin = settings.margin
        self.image_map = nn.Linear(towers["image"].width, settings.width)
        self.text_map = nn.Linear(towers["text"].width, settings.width)


def build(settings: LinearHingeSettings, towers: dict[str, Tower], assets: Assets) -> LinearPair:
    """The model; `assets` would hold what a method counts from training captions, such as a vocabulary."""
    return LinearPair(settings, towers)


def encode_image(model: LinearPair, batch: Batch) -> Tensor:
    """image_features [B, F] -> image_embedding [B, D], unit length."""
    return functional.normalize(model.image_map(batch.image_features).float(), dim=-1)


def encode_text(model: LinearPair, batch: Batch) -> Tensor:
    """text_features [C, F] -> text_embedding [C, D], unit length."""
    return functional.normalize(model.text_map(batch.text_features).float(), dim=-1)


def represent(model: LinearPair, batch: Batch) -> dict[str, Tensor]:
    """What the loss compares: a row an image, or a caption, each read by itself."""
    return {
        "image": encode_image(model, batch),
        "text": encode_text(model, batch),
        "image_group": batch.image_group,
        "text_group": batch.text_group,
    }


def compare(model: LinearPair, rows: Mapping[str, Tensor], progress: float) -> dict[str, Tensor]:
    """Mean over all wrong pairs of max(0, margin + wrong score - right score), both ways, in cosine units."""
    scores = rows["image"] @ rows["text"].T
    positive = rows["image_group"][:, None] == rows["text_group"][None, :]
    right = scores.masked_fill(~positive, -torch.inf)
    by_image = model.margin + scores - right.amax(dim=1, keepdim=True)
    by_text = model.margin + scores - right.amax(dim=0, keepdim=True)
    hinges = (by_image.relu() + by_text.relu()).masked_fill(positive, 0.0)
    return {"total": hinges.sum() / (~positive).sum().clamp(min=1)}


def towers(settings: LinearHingeSettings) -> dict[str, TowerUse]:
    """Two frozen encoders, read by their pooled features."""
    return {
        "image": TowerUse(settings.image_encoder, trainable=False, features=("image_features",)),
        "text": TowerUse(settings.text_encoder, trainable=False, features=("text_features",)),
    }


def stages(settings: LinearHingeSettings) -> tuple[Stage, ...]:
    """One stage that trains everything."""
    maps = ParameterGroup("maps", ("image_map", "text_map"), settings.lr, settings.weight_decay)
    return (Stage("all", (maps,), settings.epochs, settings.batch_size, schedule=Schedule("cosine")),)


METHOD = Method(
    summary="An example from outside the package: two linear maps and a hinge.",
    settings=LinearHingeSettings,
    presets={
        "tiny": {
            "image_encoder": "random:resnet",
            "text_encoder": "random:bert",
            "width": 32,
            "batch_size": 8,
            "epochs": 2,
        }
    },
    towers=towers,
    build=build,
    stages=stages,
    represent=represent,
    compare=compare,
    tasks=(Retrieval(encode_image=encode_image, encode_text=encode_text),),
)
