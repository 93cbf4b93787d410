"""Pairs of branches that meet in a space, over frozen features or over encoders that are trained along.

Source: seed 001, section II, is one pair; several members that learn side by side are an ensemble, ours.
Shapes: B images, C captions, P patches, L tokens, M members, D shared width.
"""

import dataclasses
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mmx.core.assets import Assets
from mmx.core.batch import Batch
from mmx.core.errors import UsageError
from mmx.core.present import present
from mmx.core.tower import Tower
from mmx.methods.attention_clip.branch import Branch, BranchKind, States
from mmx.methods.attention_clip.cross_attention import PairEncoder
from mmx.methods.attention_clip.identities import IdentityHead, identity_numbers
from mmx.methods.attention_clip.masked_words import WordHead
from mmx.methods.attention_clip.patterns import patterns
from mmx.methods.attention_clip.settings import AttentionClipSettings
from mmx.nn.contrastive import scale_of
from mmx.nn.precision import unit


class Member(nn.Module):
    """A branch of each modality, with a space of their own."""

    def __init__(self, settings: AttentionClipSettings, towers: dict[str, Tower], width: int) -> None:
        super().__init__()
        pattern = patterns(settings, towers)
        image = BranchKind(
            towers["image"].width,
            settings.image_power,
            settings.image_dropout,
            pattern.get("image"),
            settings.leaks,
        )
        text = BranchKind(towers["text"].width, 1.0, settings.text_dropout, pattern.get("text"))
        self.image_branch, self.text_branch = (Branch(kind, width, settings) for kind in (image, text))


@dataclass(frozen=True)
class Reading:
    """What is seen of B images, or read of C captions."""

    projected: Tensor
    """[M, B, D], not of unit length."""
    states: list[States]
    """Of each member, where there is attention."""


class AttentionClip(nn.Module):
    """Encodes images and captions apart from each other, so that either can be indexed.

    The one kind that does not, `cross_leaky`, is declared as a model that nothing can be found with.
    """

    def __init__(
        self, settings: AttentionClipSettings, towers: dict[str, Tower], width: int, identities: Tensor
    ) -> None:
        super().__init__()
        self.settings = settings
        self.image_tower = towers["image"].module
        self.text_tower = towers["text"].module
        self.members = nn.ModuleList(Member(settings, towers, width) for _ in range(settings.members))
        attention = settings.attention_width, settings.heads, settings.cross_layers
        reads_pairs = settings.looks_twice or settings.masked_words
        self.pairs = PairEncoder(*attention, settings.attention_dropout) if reads_pairs else None
        self.words = None
        if settings.masked_words:
            self.words = WordHead(settings.attention_width, present(self.text_tower).vocabulary)
        self.identities = None
        if settings.identity_loss:
            self.identities = IdentityHead(settings.members * width, identities)
        log_scale = torch.tensor(-math.log(settings.temperature))
        if settings.learn_temperature:
            self.log_scale = nn.Parameter(log_scale)
        else:
            self.register_buffer("log_scale", log_scale)

    def look(self, batch: Batch) -> Reading:
        """The pixels or features of B images, which with `cross_leaky` see caption i beside image i."""
        pooled, patches = batch.image_features, batch.patch_features
        if self.image_tower is not None:
            read = self.image_tower(batch.pixels)
            pooled, patches = self._pooled(read, "image"), read["patch_features"]
        if not self.settings.attends:
            return self._project("image_branch", pooled, [])
        mask = torch.ones(patches.shape[:2], dtype=torch.bool, device=patches.device)
        leaked = self.read(batch).states if self.settings.leaks else [None] * len(self.members)
        states = [
            member.image_branch.attend.states(patches, mask, other)
            for member, other in zip(self.members, leaked, strict=True)
        ]
        return self._project("image_branch", pooled, states)

    def read(self, batch: Batch) -> Reading:
        """The token ids or features of C captions."""
        pooled, tokens, mask = batch.text_features, batch.token_features, batch.token_mask
        if self.text_tower is not None:
            limit = self.settings.max_tokens
            mask = batch.token_mask[:, :limit]
            read = self.text_tower(batch.token_ids[:, :limit], mask)
            pooled, tokens = self._pooled(read, "text"), read["token_features"]
        states = []
        if self.settings.attends:
            states = [member.text_branch.attend.states(tokens, mask) for member in self.members]
        return self._project("text_branch", pooled, states)

    def clamped_scale(self) -> Tensor:
        """1 / temperature; a learned one is first put back within its limit."""
        return scale_of(self.log_scale, self.settings.least_temperature, self.training)

    def learns_to_match(self) -> bool:
        """Whether the second look is what is being trained."""
        return self.settings.looks_twice and present(self.pairs).judge[-1].weight.requires_grad

    def _pooled(self, read: dict[str, Tensor], modality: str) -> Tensor:
        return read[f"{modality}_{'embedding' if self.settings.projection == 'none' else 'features'}"]

    def _project(self, branch: str, pooled: Tensor | None, states: list[States]) -> Reading:
        found = [
            getattr(member, branch)(pooled, states[place] if states else None)
            for place, member in enumerate(self.members)
        ]
        return Reading(torch.stack(found), states)


def build(settings: AttentionClipSettings, towers: dict[str, Tower], assets: Assets) -> AttentionClip:
    """The model.

    Raises:
        UsageError: when there are no heads, and the towers share no space.
    """
    if settings.projection != "none":
        return AttentionClip(settings, towers, settings.width, identity_numbers(assets))
    image, text = (getattr(towers[name].module, "embedding_width", None) for name in ("image", "text"))
    if image is None or image != text:
        raise UsageError(
            f"'{settings.image_encoder}' and '{settings.text_encoder}' share no space. "
            "Set projection=perceptron, or name a pair such as clip-vit-b16."
        )
    return AttentionClip(settings, towers, image, identity_numbers(assets))


def encode_image(model: AttentionClip, batch: Batch) -> Tensor:
    """The images of a batch -> image_embedding [B, M D], unit length."""
    return image_embedding(model, batch, model.look(batch).projected)


def encode_text(model: AttentionClip, batch: Batch) -> Tensor:
    """The captions of a batch -> text_embedding [C, M D], unit length."""
    return text_embedding(model.read(batch).projected)


def image_embedding(model: AttentionClip, batch: Batch, projected: Tensor) -> Tensor:
    """[M, B, D] -> [B, M D], unit length; with that of the mirrored pictures, where that is asked for."""
    embedding = unit(projected)
    if model.settings.mirror:
        mirrored = dataclasses.replace(batch, pixels=batch.pixels.flip(-1))
        embedding = unit(embedding + unit(model.look(mirrored).projected))
    return _side_by_side(embedding)


def text_embedding(projected: Tensor) -> Tensor:
    """[M, C, D] -> [C, M D], unit length."""
    return _side_by_side(unit(projected))


def _side_by_side(embedding: Tensor) -> Tensor:
    """[M, B, D] unit length -> [B, M D], unit length: inner products are the means of the members'."""
    return embedding.transpose(0, 1).flatten(1) / len(embedding) ** 0.5
