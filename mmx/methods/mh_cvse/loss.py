"""What mh-cvse learns from: hinges at three levels, agreement about concepts, and InfoNCE where asked for.

Source: CVSE code (BruceW91/CVSE, commit 94c2191, model_CVSE.py:600-650, 838-847), with means instead of sums.
Shapes: B images, C captions, K concepts.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from mmx.core.batch import Batch
from mmx.methods.mh_cvse.hinge import hardest_hinge, mean_hinge
from mmx.methods.mh_cvse.member import Member, Views
from mmx.methods.mh_cvse.model import MhCvse
from mmx.methods.mh_cvse.stages import epoch_of, in_warmup
from mmx.nn.contrastive import contrastive_loss, positive_pairs

LEAST_SHARE = 1e-12


def represent(model: MhCvse, batch: Batch) -> dict[str, Tensor]:
    """What each member says of each image and each caption by itself; the norms of the consensus come later,
    since they measure a whole batch.
    """
    batch = model.read(batch)
    rows = {"image_group": batch.image_group, "text_group": batch.text_group}
    for place, member in enumerate(model.members):
        rows[f"image.{place}"] = member.image_branch(*member.read_images(batch))
        rows[f"text.{place}"] = member.text_branch(*member.read_texts(batch))
        if member.graph is not None:
            rows["concept_ids"] = batch.concept_ids
    return rows


def compare(model: MhCvse, rows: Mapping[str, Tensor], progress: float) -> dict[str, Tensor]:
    """The terms of the settings, unweighted, and their `total` with the weights of the balancer; means over
    the members.

    All captions and images of one group are right partners of each other. In the warm-up epochs hinges are
    means over all negatives, and the balancer holds its weights.
    """
    losses = [member_loss(member, place, rows, progress) for place, member in enumerate(model.members)]
    return {name: torch.stack([each[name] for each in losses]).mean() for name in losses[0]}


def member_loss(member: Member, place: int, rows: Mapping[str, Tensor], progress: float) -> dict[str, Tensor]:
    """The same of one member, which learns as if it were alone."""
    concepts = member.concepts()
    image = member.image_views(rows[f"image.{place}"], concepts)
    text = member.text_views(rows[f"text.{place}"], rows.get("concept_ids"), concepts)
    positive = positive_pairs(rows["image_group"], rows["text_group"])
    warm = in_warmup(member.settings, progress)
    # Scores are divided by a small temperature: half precision would round away what sets them apart.
    with torch.autocast(image.fused.device.type, enabled=False):
        terms = find_terms(member, image, text, positive, warm)
        epoch = None if warm else epoch_of(member.settings, progress)
        total = member.balancer(terms, epoch)
    return {"total": total, **{name: terms[name] for name in member.balancer.names}}


def find_terms(member: Member, image: Views, text: Views, positive: Tensor, warm: bool) -> dict[str, Tensor]:
    """The views of B images and C captions, [B, C] bool -> each term that counts, by name."""
    settings, terms = member.settings, {}
    hinge = mean_hinge if warm else hardest_hinge
    for name in member.balancer.names:
        if name == "divergence":
            terms[name] = divergence(text.shares, image.shares, positive)
        elif name == "contrastive":
            scale = member.clamped_scale()
            terms[name] = contrastive_loss(scale * image.fused @ text.fused.T, positive)
        else:
            scores = getattr(image, name) @ getattr(text, name).T
            terms[name] = hinge(scores, positive, settings.margin)
    return terms


def divergence(text_shares: Tensor, image_shares: Tensor, positive: Tensor) -> Tensor:
    """[C, K], [B, K] summing to 1, [B, C] bool -> scalar >= 0 in nats: mean of KL(p_text || p_image)."""
    own = torch.special.xlogy(text_shares, text_shares).sum(dim=-1)
    cross = image_shares.clamp(min=LEAST_SHARE).log() @ text_shares.T
    return (own - cross).masked_fill(~positive, 0.0).sum() / positive.sum()
