"""Which word met which region: the part of a pair's score that a word and a region make together.

Source: ours. Pooling is a sum over regions and one over words, and all that follows is linear but for a
division by the length, so that the product of two embeddings is a sum over their pairs:

    score = sum_lr e_l . e_r + rest        e_l, e_r: what a word, a region gave to the embedding

The rest is what no word and no region gave alone: pooled paths and biases, and the concepts, on which an
instance has a say that is not linear. With attention a region has taken in others before it is pooled.
Shapes: C pairs, R regions, L words, D shared width.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmx.core.batch import Batch
from mmx.methods.mh_cvse.member import Member, Views, join_levels
from mmx.methods.mh_cvse.model import MhCvse
from mmx.nn.precision import lengths


def explain(model: MhCvse, batch: Batch) -> Tensor:
    """C pairs, caption i beside image i -> [C, L, R] in units of their scores, 0 on padding.

    Words beyond those that the model reads have 0 throughout.
    """
    read = model.read(batch)
    met = torch.stack([explain_member(member, read) for member in model.members]).mean(dim=0)
    return functional.pad(met, (0, 0, 0, batch.token_mask.shape[1] - met.shape[1]))


def explain_member(member: Member, batch: Batch) -> Tensor:
    """The same of one member, for the words that it reads."""
    weight = 0.0 if member.graph is None else member.settings.consensus_weight
    text_parts, image_parts = _text_parts(member, batch), _image_parts(member, batch)
    return (1 - weight) * torch.bmm(text_parts, image_parts.transpose(1, 2))


def _image_parts(member: Member, batch: Batch) -> Tensor:
    """[C, R, D]: what each region gave to the fused half of the embedding."""
    views = member.view_images(batch, member.concepts())
    parts = member.image_branch.parts(*member.read_images(batch))
    parts = _through_fusion(getattr(member, "image_fusion", None), parts, views)
    if not member.settings.mirror or batch.region_features_mirrored is None:
        return parts
    # The embedding is that of both pictures, and what the mirrored one gave belongs to the rest.
    mirrored = member.view_images(batch, member.concepts(), mirrored=True)
    weight = member.settings.consensus_weight
    return parts / lengths(join_levels(views, weight) + join_levels(mirrored, weight))[..., None]


def _text_parts(member: Member, batch: Batch) -> Tensor:
    """[C, L, D]: what each word gave to the fused half of the embedding."""
    parts = member.text_branch.parts(*member.read_texts(batch))
    views = member.view_texts(batch, member.concepts())
    return _through_fusion(getattr(member, "text_fusion", None), parts, views)


def _through_fusion(fusion: nn.Module | None, parts: Tensor, views: Views) -> Tensor:
    """[C, T, D] of the instance -> [C, T, D] of the fused embedding."""
    return parts if fusion is None else fusion.parts(parts, views.instance, views.consensus)
