"""What region-align learns from: the global score in the first stage, the sum of both scores in the second.

Source: seed 004; arXiv 2303.15343 (SigLIP), section 3.2.
Shapes: B images, C captions.
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from mmx.core.batch import Batch
from mmx.methods.region_align.model import Reading, RegionAlign
from mmx.nn.contrastive import contrastive_loss, positive_pairs


def represent(model: RegionAlign, batch: Batch) -> dict[str, Tensor]:
    """Embeddings, and while the fine score is being learned the parts that it compares."""
    learning = learns_fine(model)
    rows = {"image_group": batch.image_group, "text_group": batch.text_group}
    for side, found in (
        ("image", model.look(batch, parts=learning)),
        ("text", model.read(batch, parts=learning)),
    ):
        rows[side] = found.embedding
        if learning:
            rows |= {f"{side}_parts": found.parts, f"{side}_mask": found.mask}
    return rows


def compare(model: RegionAlign, rows: Mapping[str, Tensor], progress: float) -> dict[str, Tensor]:
    """The loss that the settings name, in nats; the fine score takes part while it is being learned.

    logits = (cosine + weight fine) / temperature
    """
    learning = learns_fine(model)
    image, text = (
        Reading(rows[side], rows.get(f"{side}_parts"), rows.get(f"{side}_mask")) for side in ("image", "text")
    )
    positive = positive_pairs(rows["image_group"], rows["text_group"])
    # Scores are divided by a small temperature: half precision would round away what sets them apart.
    with torch.autocast(image.embedding.device.type, enabled=False):
        scale = model.scale()
        logits = scale * (image.embedding @ text.embedding.T)
        if not learning:
            return {"total": _compare(model, logits, positive)}
        fine = scale * model.fine_weight() * member_scores(model, image, text).transpose(0, 1)
        asked, found = {"both": model.settings.sum_loss, "fine": model.settings.fine_loss}, {}
        if asked["both"]:
            found["both"] = _compare(model, logits + fine.mean(dim=-1), positive)
        elif logits.requires_grad:
            # nobody froze the first stage, and the fine score alone would teach it nothing
            asked["first"], found["first"] = 1.0, _compare(model, logits, positive)
        if asked["fine"]:
            # each member by itself: their mean would let one do the work of all
            losses = [_compare(model, of_member, positive) for of_member in fine.unbind(dim=-1)]
            found["fine"] = torch.stack(losses).mean()
        total = sum(asked[name] * value for name, value in found.items())
        return {"total": total, **found} if len(found) > 1 else {"total": total}


def learns_fine(model: RegionAlign) -> bool:
    """Whether anything of the fine score is being trained."""
    return any(
        parameter.requires_grad
        for part in (model.alignment, model.region_map)
        if part is not None
        for parameter in part.parameters()
    )


def member_scores(model: RegionAlign, image: Reading, text: Reading) -> Tensor:
    """The parts of G images and of Q captions -> fine_scores of each member of the alignment [Q, G, K]."""
    images = model.alignment.keep_regions(image.parts, image.mask)
    return model.alignment.by_member(images, model.alignment.keep_tokens(text.parts, text.mask))


def sigmoid_loss(logits: Tensor, positive: Tensor) -> Tensor:
    """[B, C] logits, [B, C] bool -> scalar >= 0 in nats: the sum over images of -log sigmoid(+-logit), a
    caption.
    """
    signs = 2 * positive.to(logits.dtype) - 1
    return -functional.logsigmoid(signs * logits).sum() / logits.shape[1]


def _compare(model: RegionAlign, logits: Tensor, positive: Tensor) -> Tensor:
    if model.settings.loss == "sigmoid":
        return sigmoid_loss(logits + model.bias, positive)
    return contrastive_loss(logits, positive)
