"""What muse learns from: its task, and how well it generates each modality from the other.

L = (sigma L_task + alpha L_caption) / 64 + beta L_generator / 1024

Source: seed 002; code of MuSE, commit 812dc19, main_ct.py. L_task is the negative log-likelihood of a post's
tags, or 64 times the cross entropy of its class. The generator's loss is a mean over posts and not a sum, so
that beta does not hang on the size of a batch.
"""

from torch import Tensor
from torch.nn import functional

from mmx.core.batch import Batch
from mmx.methods.muse.head import WordHead
from mmx.methods.muse.model import Muse

POSITIONS, PIXELS = 64, 1024
"""What the code divides by: its tokens of a post, its pixels of a picture."""


def loss(model: Muse, batch: Batch, progress: float) -> dict[str, Tensor]:
    """`total`, and its parts before they are weighed, in nats."""
    text, pooled, image = model.read(batch)
    fused = model.fuse(text, pooled, image)
    if isinstance(model.head, WordHead):
        emissions, mask = model.head.emissions(batch, fused)
        tags = batch.tag_ids.clamp_min(0)
        parts = {"tags": model.head.crf.nll(emissions, tags, mask).mean()}
        task = parts["tags"]
    else:
        parts = {"class": functional.cross_entropy(model.head(fused), batch.label_ids[:, 0], ignore_index=-1)}
        task = POSITIONS * parts["class"]
    settings = model.settings
    total = settings.task_weight * task / POSITIONS
    if model.regularisers is not None:
        generated = model.regularisers(batch, pooled, image)
        total = total + settings.caption_weight * generated.get("caption", 0.0) / POSITIONS
        total = total + settings.generator_weight * generated.get("generator", 0.0) / PIXELS
        parts |= generated
    return {"total": total, **parts}
