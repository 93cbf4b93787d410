"""Two towers in one space, and the alignment of tokens and regions over them.

Source: seed 004; heads for towers that share no space are ours.
Shapes: B images, C captions, P patches, R regions, L tokens, F encoder width, D shared width.
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmx.core.assets import Assets
from mmx.core.batch import Batch
from mmx.core.errors import UsageError
from mmx.core.present import present
from mmx.core.tower import Tower
from mmx.methods.region_align.alignment import LateInteraction, RegionTokenAlignment
from mmx.methods.region_align.gathering import CaptionGathering
from mmx.methods.region_align.head import Head
from mmx.methods.region_align.masking import taking_part
from mmx.methods.region_align.regions import RegionMap
from mmx.methods.region_align.settings import RegionAlignSettings
from mmx.methods.region_align.weight_blend import WeightBlend
from mmx.nn.contrastive import scale_of
from mmx.nn.precision import at_least_float32, unit


@dataclass(frozen=True)
class Reading:
    """What is seen of B images, or read of B captions."""

    embedding: Tensor
    """[B, D] float32, unit length."""
    parts: Tensor | None = None
    """[B, R, D] regions or [B, L, D] tokens, float32, unit length; None where nobody asked for them. Where
    the fine score has maps of its own: as the encoders give them.
    """
    mask: Tensor | None = None
    """[B, R] or [B, L] bool: which parts take part in the fine score."""


class RegionAlign(nn.Module):
    """Embeds images and captions apart from each other, and keeps their parts for a second look at pairs."""

    def __init__(self, settings: RegionAlignSettings, towers: Mapping[str, Tower], width: int) -> None:
        super().__init__()
        self.settings = settings
        self.image_tower, self.text_tower = towers["image"].module, towers["text"].module
        self.image_blend = _blend(self.image_tower, settings.wise_share)
        self.text_blend = _blend(self.text_tower, settings.wise_share)
        self.image_head = self.text_head = None
        if settings.projection != "none":
            self.image_head = _head(
                towers["image"].width, settings.image_power, settings.image_dropout, settings
            )
            self.text_head = _head(towers["text"].width, 1.0, settings.text_dropout, settings)
        self.region_map = RegionMap(towers["regions"].width, width) if "regions" in towers else None
        self.alignment = _alignment(settings, towers, width)
        self._keep_scalar("log_scale", -math.log(settings.start_temperature))
        if settings.loss == "sigmoid":
            self._keep_scalar("bias", settings.bias)

    def look(self, batch: Batch, parts: bool = False) -> Reading:
        """The pixels or features of B images -> their embedding and, if asked for, their regions."""
        grid = parts and self.region_map is None
        if self.image_tower is None:
            seen = {"image_features": batch.image_features, "patch_features": batch.region_features}
        else:
            project = grid and self.image_head is None
            seen = _run(self.image_tower, self.image_blend, (batch.pixels,), project)
        embedding = _embed(seen, "image", self.image_head)
        if not grid:
            return Reading(embedding, *self.map_regions(batch)) if parts else Reading(embedding)
        patches = _parts(seen, "patch", self.image_head, self.settings.gathers)
        return Reading(embedding, patches, self._grid_mask(batch, patches))

    def map_regions(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The regions of another encoder -> parts [B, R, D] and mask [B, R], as in a Reading."""
        mapped = present(self.region_map)(batch.region_features, batch.region_boxes)
        return unit(mapped), batch.region_mask

    def read(self, batch: Batch, parts: bool = False) -> Reading:
        """The token ids or features of C captions -> their embedding and, if asked for, their tokens."""
        if self.text_tower is None:
            read = {"text_features": batch.text_features, "token_features": batch.token_features}
        else:
            project = parts and self.text_head is None
            read = _run(self.text_tower, self.text_blend, (batch.token_ids, batch.token_mask), project)
        embedding = _embed(read, "text", self.text_head)
        if not parts:
            return Reading(embedding)
        skipped = self.settings.skip_first, self.settings.skip_last
        tokens = _parts(read, "token", self.text_head, self.settings.gathers)
        return Reading(embedding, tokens, taking_part(batch.token_mask, *skipped))

    def scale(self) -> Tensor:
        """1 / temperature; one that is being learned is first put back within its limit."""
        return scale_of(self.log_scale, self.settings.least_temperature, self.training)

    def fine_weight(self) -> Tensor:
        """What the fine score counts beside a cosine: lambda, or lambda x temperature where it is a logit."""
        weight = torch.as_tensor(self.settings.fine_weight, device=self.log_scale.device)
        return weight / self.scale() if self.settings.fine == "attention" else weight

    def _grid_mask(self, batch: Batch, patches: Tensor) -> Tensor:
        """[B, P] bool: every patch is there, but for those that a batch without regions of its own hides."""
        hides = self.image_tower is None or batch.region_features is None
        if hides and batch.region_mask is not None:
            return batch.region_mask
        return torch.ones(patches.shape[:2], dtype=torch.bool, device=patches.device)

    def _keep_scalar(self, name: str, value: float) -> None:
        """A scalar that is learned with the temperature, or that stays as it is."""
        if self.settings.learn_temperature:
            self.register_parameter(name, nn.Parameter(torch.tensor(value)))
        else:
            self.register_buffer(name, torch.tensor(value))


def build(settings: RegionAlignSettings, towers: dict[str, Tower], assets: Assets) -> RegionAlign:
    """The model; this method counts nothing before it learns.

    Raises:
        UsageError: when there are no heads, and the towers share no space.
    """
    if settings.projection != "none":
        return RegionAlign(settings, towers, settings.width)
    image, text = (getattr(towers[name].module, "embedding_width", None) for name in ("image", "text"))
    if image is None or image != text:
        raise UsageError(
            f"'{settings.image_encoder}' and '{settings.text_encoder}' share no space. "
            "Set projection=perceptron, or name a pair such as clip-vit-b32."
        )
    return RegionAlign(settings, towers, image)


def encode_image(model: RegionAlign, batch: Batch) -> Tensor:
    """The images of a batch -> image_embedding [B, D], unit length."""
    return with_mirror(model, batch, model.look(batch).embedding)


def with_mirror(model: RegionAlign, batch: Batch, embedding: Tensor) -> Tensor:
    """The embedding of B images -> [B, D] with that of their mirrored pictures, where that is asked for."""
    if not model.settings.mirror:
        return embedding
    mirrored = dataclasses.replace(batch, pixels=batch.pixels.flip(-1))
    return functional.normalize(embedding + model.look(mirrored).embedding, dim=-1)


def encode_text(model: RegionAlign, batch: Batch) -> Tensor:
    """The captions of a batch -> text_embedding [C, D], unit length."""
    return model.read(batch).embedding


def gauges(model: RegionAlign) -> dict[str, float]:
    """What the fine score counts beside a cosine, and how far the alignment is from its start at nothing."""
    values = {"fine weight": model.fine_weight().item()}
    if model.settings.fine == "attention":
        values["norm of W_o"] = model.alignment.output.weight.norm().item()
    elif model.settings.fine == "maxsim" and model.alignment.gate is not None:
        values["gate"] = model.alignment.gate.item()
    if model.settings.learn_temperature:
        values["temperature"] = model.log_scale.neg().exp().item()
    return values


def _run(
    tower: nn.Module, blend: WeightBlend | None, inputs: tuple[Tensor, ...], project: bool
) -> dict[str, Tensor]:
    """What a tower gives; in evaluation with the weights in between, where they are asked for."""
    keywords: dict[str, Any] = {"project": True} if project else {}
    if blend is None or tower.training:
        return tower(*inputs, **keywords)
    return blend(tower, *inputs, **keywords)


def _embed(read: Mapping[str, Tensor], modality: str, head: Head | None) -> Tensor:
    whole = read[f"{modality}_embedding"] if head is None else head(read[f"{modality}_features"])
    return unit(whole)


def _parts(read: Mapping[str, Tensor], part: str, head: Head | None, bare: bool) -> Tensor:
    """As the head or the shared space has them; `bare` as the encoder gives them, where there is a head."""
    if head is None:
        return unit(read[f"{part}_embedding"])
    features = read[f"{part}_features"]
    return at_least_float32(features) if bare else unit(head.project_parts(features))


def _head(in_width: int, power: float, input_dropout: float, settings: RegionAlignSettings) -> Head:
    return Head(in_width, settings.hidden_width, settings.width, power, input_dropout, settings.dropout)


def _alignment(
    settings: RegionAlignSettings, towers: Mapping[str, Tower], width: int
) -> RegionTokenAlignment | LateInteraction | CaptionGathering:
    if settings.fine == "attention":
        return RegionTokenAlignment(width, width, settings.attention_width, settings.scale_logits)
    if settings.fine == "maxsim":
        return LateInteraction(settings.learns_fine)
    # without heads, and of regions of another encoder, parts are in the shared width already
    heads = settings.projection != "none"
    return CaptionGathering(
        token_width=towers["text"].width if heads else width,
        region_width=towers["image"].width if heads and settings.reads_grid else width,
        hidden=settings.gather_hidden,
        width=settings.attention_width,
        members=settings.members,
        sharpness=settings.sharpness,
        power=settings.image_power if heads and settings.reads_grid else 1.0,
        window=settings.region_window,
        dropouts=(settings.text_dropout, settings.image_dropout, settings.dropout),
    )


def _blend(tower: nn.Module | None, share: float) -> WeightBlend | None:
    return None if tower is None or share == 1 else WeightBlend(tower, share)
