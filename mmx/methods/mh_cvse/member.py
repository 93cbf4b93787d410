"""Two branches, the concepts that both look at, and the embedding that an index keeps.

Source: seed 000; CVSE code (BruceW91/CVSE, commit 94c2191, model_CVSE.py); arXiv 2007.08883.
Shapes: B images, C captions, R regions, L words, K concepts, D shared width.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmx.core.batch import Batch
from mmx.methods.mh_cvse.balancer import LossBalancer
from mmx.methods.mh_cvse.branch import Branch
from mmx.methods.mh_cvse.concept_graph import ConceptGraph
from mmx.methods.mh_cvse.consensus import Consensus, concept_labels
from mmx.methods.mh_cvse.fusion import WeightedFusion, build_fusion
from mmx.methods.mh_cvse.settings import MhCvseSettings
from mmx.nn.contrastive import scale_of


@dataclass(frozen=True)
class Views:
    """What the levels of the model say of B images or captions; all [B, D], unit length."""

    instance: Tensor
    fused: Tensor
    consensus: Tensor | None = None
    shares: Tensor | None = None
    """[B, K] that sum to 1: how much each concept is looked at."""


class Member(nn.Module):
    """One matcher of images and captions, which it embeds apart from each other."""

    def __init__(
        self,
        settings: MhCvseSettings,
        image_branch: Branch,
        text_branch: Branch,
        graph: ConceptGraph | None,
    ) -> None:
        super().__init__()
        self.settings = settings
        self.image_branch, self.text_branch, self.graph = image_branch, text_branch, graph
        if graph is not None:
            width, sharpness = settings.width, settings.sharpness
            self.image_consensus = Consensus(width, sharpness, settings.label_share)
            self.text_consensus = Consensus(width, sharpness, settings.label_share)
            self.image_fusion = build_fusion(settings.fusion, width, settings.instance_share)
            self.text_fusion = build_fusion(settings.fusion, width, settings.instance_share)
        self.balancer = LossBalancer(
            settings.terms,
            settings.balance,
            settings.balance_decay,
            settings.balance_steps,
            settings.balance_focus,
            settings.balance_temperature,
        )
        log_scale = torch.tensor(-math.log(settings.temperature))
        if settings.learns_temperature:
            self.log_scale = nn.Parameter(log_scale)
        else:
            self.register_buffer("log_scale", log_scale)

    def concepts(self) -> Tensor | None:
        """-> concepts [K, D], unit length; None without consensus. Both modalities of a step share them."""
        return None if self.graph is None else self.graph()

    def view_images(self, batch: Batch, concepts: Tensor | None, mirrored: bool = False) -> Views:
        """The regions of B images, or those of their mirrored pictures -> their views."""
        return self.image_views(self.image_branch(*self.read_images(batch, mirrored)), concepts)

    def image_views(self, instance: Tensor, concepts: Tensor | None) -> Views:
        """The instances of B images [B, D], unit length -> their views."""
        if concepts is None:
            return Views(instance, instance)
        with torch.autocast(instance.device.type, enabled=False):
            consensus, shares = self.image_consensus(instance, concepts, None)
            return Views(instance, self.image_fusion(instance, consensus), consensus, shares)

    def view_texts(self, batch: Batch, concepts: Tensor | None) -> Views:
        """The words (or an encoder's tokens) of C captions, and the concepts they name -> their views."""
        return self.text_views(self.text_branch(*self.read_texts(batch)), batch.concept_ids, concepts)

    def text_views(self, instance: Tensor, concept_ids: Tensor | None, concepts: Tensor | None) -> Views:
        """The instances of C captions [C, D], unit length, the concepts they name -> their views."""
        if concepts is None:
            return Views(instance, instance)
        labels = concept_labels(concept_ids, len(concepts))
        with torch.autocast(instance.device.type, enabled=False):
            consensus, shares = self.text_consensus(instance, concepts, labels)
            return Views(instance, self.text_fusion(instance, consensus), consensus, shares)

    def clamped_scale(self) -> Tensor:
        """1 / temperature; a learned one is first put back within its limit."""
        return scale_of(self.log_scale, self.settings.least_temperature, self.training)

    def read_images(self, batch: Batch, mirrored: bool = False) -> tuple[Tensor, Tensor]:
        """Region features [B, R, F], and their mask [B, R]."""
        regions = batch.region_features_mirrored if mirrored else batch.region_features
        if batch.region_mask is not None:
            return regions, batch.region_mask
        return regions, torch.ones(regions.shape[:2], dtype=torch.bool, device=regions.device)

    def read_texts(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Word ids [C, L] or token features [C, L, F], and their mask [C, L]."""
        limit = self.settings.max_tokens
        mask = batch.token_mask[:, :limit]
        tokens = batch.token_ids if self.settings.text == "words" else batch.token_features
        return tokens[:, :limit], mask


def join_levels(views: Views, consensus_weight: float) -> Tensor:
    """The views of B items -> [B, 2 D] unit length, or [B, D] where there is no consensus.

    Inner products of what it gives are (1 - w) cos(f, f') + w cos(x_C, x_C').
    """
    if views.consensus is None:
        return views.instance
    fused, consensus = (1 - consensus_weight) ** 0.5 * views.fused, consensus_weight**0.5 * views.consensus
    return torch.cat([fused, consensus], dim=-1)


def embed_images(member: Member, batch: Batch) -> Tensor:
    """The regions of B images -> [B, 2 D], unit length."""
    concepts, weight = member.concepts(), member.settings.consensus_weight
    embedding = join_levels(member.view_images(batch, concepts), weight)
    if not member.settings.mirror or batch.region_features_mirrored is None:
        return embedding
    mirrored = join_levels(member.view_images(batch, concepts, mirrored=True), weight)
    return functional.normalize(embedding + mirrored, dim=-1)


def embed_texts(member: Member, batch: Batch) -> Tensor:
    """The words of C captions, and the concepts they name -> [C, 2 D], unit length."""
    return join_levels(member.view_texts(batch, member.concepts()), member.settings.consensus_weight)


def gauges(member: Member) -> dict[str, float]:
    """Weights of the terms, the instance's share in weighted fusion, and a learned temperature."""
    values = {f"weight of {name}": weight for name, weight in member.balancer.gauges().items()}
    for modality in ("image", "text"):
        fusion = getattr(member, f"{modality}_fusion", None)
        if isinstance(fusion, WeightedFusion):
            values[f"instance share of {modality}"] = fusion.theta.softmax(dim=0)[0].item()
    if member.settings.learns_temperature:
        values["temperature"] = member.log_scale.neg().exp().item()
    return values
