"""Four linear maps into one space, and what they make of a batch."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from late_interaction.settings import LateInteractionSettings
from mmx.core.batch import Batch
from mmx.core.tower import Tower


class LateInteraction(nn.Module):
    """A map each for pictures, patches, captions and tokens; a scale and a bias for each kind of score."""

    def __init__(self, settings: LateInteractionSettings, towers: Mapping[str, Tower]) -> None:
        super().__init__()
        self.settings = settings
        image, text = towers["image"].width, towers["text"].width
        self.image_map = nn.Linear(image, settings.width)
        self.patch_map = nn.Linear(image, settings.width)
        self.text_map = nn.Linear(text, settings.width)
        self.token_map = nn.Linear(text, settings.width)
        self.log_scale = nn.Parameter(torch.full((2,), math.log(settings.scale)))
        self.bias = nn.Parameter(torch.full((2,), settings.bias))


def encode_image(model: LateInteraction, batch: Batch) -> Tensor:
    """image_features [B, F] -> image_embedding [B, D], unit length."""
    return functional.normalize(model.image_map(batch.image_features).float(), dim=-1)


def encode_text(model: LateInteraction, batch: Batch) -> Tensor:
    """text_features [C, F] -> text_embedding [C, D], unit length."""
    return functional.normalize(model.text_map(batch.text_features).float(), dim=-1)


def patches(model: LateInteraction, batch: Batch) -> Tensor:
    """region_features [B, R, F] -> [B, R, D], unit length; region_mask hides what stands on padding."""
    return functional.normalize(model.patch_map(batch.region_features).float(), dim=-1)


def tokens(model: LateInteraction, batch: Batch) -> Tensor:
    """token_features [C, L, F] -> [C, L, D], unit length; token_mask hides what stands on padding."""
    return functional.normalize(model.token_map(batch.token_features).float(), dim=-1)


def represent(model: LateInteraction, batch: Batch) -> dict[str, Tensor]:
    """A row an image or a caption, each read by itself: as a whole, and in parts with their mask."""
    return {
        "image": encode_image(model, batch),
        "text": encode_text(model, batch),
        "patches": patches(model, batch),
        "patch_mask": batch.region_mask,
        "tokens": tokens(model, batch),
        "token_mask": batch.token_mask,
        "image_group": batch.image_group,
        "text_group": batch.text_group,
    }
