"""Pairs of branches that meet in a space, over frozen features or over encoders that are trained along.

Source: seed 001, section II, is one pair; several members that learn side by side are an ensemble, ours.
Shapes: B images, C captions, P patches, L tokens, M members, D shared width.
"""

import dataclasses
import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmx.core.assets import Assets
from mmx.core.batch import Batch
from mmx.core.tower import Tower
from mmx.methods.attention_clip.branch import Branch
from mmx.methods.attention_clip.settings import AttentionClipSettings


class Member(nn.Module):
    """A branch of each modality, with a space of their own."""

    def __init__(self, settings: AttentionClipSettings, towers: dict[str, Tower]) -> None:
        super().__init__()
        self.image_branch = Branch(
            towers["image"].width, settings.image_power, settings.image_dropout, settings
        )
        self.text_branch = Branch(towers["text"].width, 1.0, settings.text_dropout, settings)


class AttentionClip(nn.Module):
    """Encodes images and captions apart from each other, so that either can be indexed."""

    def __init__(self, settings: AttentionClipSettings, towers: dict[str, Tower]) -> None:
        super().__init__()
        self.settings = settings
        self.image_tower = towers["image"].module
        self.text_tower = towers["text"].module
        self.members = nn.ModuleList(Member(settings, towers) for _ in range(settings.members))
        log_scale = torch.tensor(-math.log(settings.temperature))
        if settings.learn_temperature:
            self.log_scale = nn.Parameter(log_scale)
        else:
            self.register_buffer("log_scale", log_scale)

    def project_images(self, batch: Batch) -> Tensor:
        """The pixels or features of B images -> [M, B, D], not of unit length."""
        pooled, patches = batch.image_features, batch.patch_features
        if self.image_tower is not None:
            read = self.image_tower(batch.pixels)
            pooled, patches = read["image_features"], read["patch_features"]
        mask = (
            None
            if patches is None
            else torch.ones(patches.shape[:2], dtype=torch.bool, device=patches.device)
        )
        return torch.stack([member.image_branch(pooled, patches, mask) for member in self.members])

    def project_texts(self, batch: Batch) -> Tensor:
        """The token ids or features of C captions -> [M, C, D], not of unit length."""
        pooled, tokens, mask = batch.text_features, batch.token_features, batch.token_mask
        if self.text_tower is not None:
            limit = self.settings.max_tokens
            mask = batch.token_mask[:, :limit]
            read = self.text_tower(batch.token_ids[:, :limit], mask)
            pooled, tokens = read["text_features"], read["token_features"]
        return torch.stack([member.text_branch(pooled, tokens, mask) for member in self.members])

    def clamped_scale(self) -> Tensor:
        """1 / temperature; a learned one is first put back within its limit."""
        if self.training and self.settings.learn_temperature:
            # In place, so that the gradient stays alive at the limit.
            self.log_scale.data.clamp_(max=-math.log(self.settings.least_temperature))
        return self.log_scale.exp()


def build(settings: AttentionClipSettings, towers: dict[str, Tower], assets: Assets) -> AttentionClip:
    """The model; this method counts nothing before it learns."""
    return AttentionClip(settings, towers)


def encode_image(model: AttentionClip, batch: Batch) -> Tensor:
    """The images of a batch -> image_embedding [B, M D], unit length."""
    embedding = _unit(model.project_images(batch))
    if model.settings.mirror:
        mirrored = dataclasses.replace(batch, pixels=batch.pixels.flip(-1))
        embedding = _unit(embedding + _unit(model.project_images(mirrored)))
    return _side_by_side(embedding)


def encode_text(model: AttentionClip, batch: Batch) -> Tensor:
    """The captions of a batch -> text_embedding [C, M D], unit length."""
    return _side_by_side(_unit(model.project_texts(batch)))


def _unit(embedding: Tensor) -> Tensor:
    return functional.normalize(embedding.float(), dim=-1)


def _side_by_side(embedding: Tensor) -> Tensor:
    """[M, B, D] unit length -> [B, M D], unit length: inner products are the means of the members'."""
    return embedding.transpose(0, 1).flatten(1) / len(embedding) ** 0.5
