"""What muse learns from: its task, and how well it generates each modality from the other.

L = (sigma L_task + alpha L_caption) / 64 + beta L_generator / 1024

Source: seed 002; code of MuSE, commit 812dc19, main_ct.py. L_task is the negative log-likelihood of a post's
tags, or 64 times the cross entropy of its class. The generator's loss is a mean over posts and not a sum, so
that beta does not hang on the size of a batch.
"""

from collections.abc import Mapping

from torch import Tensor
from torch.nn import functional

from mmx.core.batch import Batch
from mmx.methods.muse.head import WordHead
from mmx.methods.muse.model import Muse
from mmx.methods.muse.regularisers import add_up

POSITIONS, PIXELS = 64, 1024
"""What the code divides by: its tokens of a post, its pixels of a picture."""


def represent(model: Muse, batch: Batch) -> dict[str, Tensor]:
    """How far each post is from its tags, or the scores of its classes, and what the regularisers say."""
    text, pooled, image = model.read(batch)
    fused = model.fuse(text, pooled, image)
    if isinstance(model.head, WordHead):
        emissions, mask = model.head.emissions(batch, fused)
        rows = {"tags_nll": model.head.crf.nll(emissions, batch.tag_ids.clamp_min(0), mask)}
    else:
        rows = {"class_scores": model.head(fused), "class": batch.label_ids[:, 0]}
    if model.regularisers is not None:
        rows |= model.regularisers(batch, pooled, image)
    return rows


def compare(model: Muse, rows: Mapping[str, Tensor], progress: float) -> dict[str, Tensor]:
    """`total`, and its parts before they are weighed, in nats."""
    if "tags_nll" in rows:
        parts = {"tags": rows["tags_nll"].mean()}
        task = parts["tags"]
    else:
        parts = {"class": functional.cross_entropy(rows["class_scores"], rows["class"], ignore_index=-1)}
        task = POSITIONS * parts["class"]
    settings = model.settings
    total = settings.task_weight * task / POSITIONS
    if model.regularisers is not None:
        generated = add_up(rows)
        total = total + settings.caption_weight * generated.get("caption", 0.0) / POSITIONS
        total = total + settings.generator_weight * generated.get("generator", 0.0) / PIXELS
        parts |= generated
    return {"total": total, **parts}
