"""The score of one picture with one sentence, when regions of the picture are hidden from the model.

Shapes: V variants of a mask, R regions, D width of the shared space.
"""

import dataclasses

import torch
from torch import Tensor, nn

from mmx.core.batch import Batch
from mmx.core.task import Retrieval

AT_ONCE = 64
"""Variants of a picture in one batch."""
OF_IMAGES = ("pixels", "image_", "patch_", "region_")
"""How the names of a batch's image fields begin."""


@torch.inference_mode()
def masked_scores(model: nn.Module, task: Retrieval, pair: Batch, masks: Tensor) -> Tensor:
    """A batch of one image and one caption, region_mask [V, R] -> scores [V] float32 on the CPU.

    It is the score that ranks: of the embeddings, and of the finer look where the task has one.
    """
    text = task.encode_text(model, pair)
    kept_text = task.rerank.keep_text(model, pair) if task.rerank else {}
    scores = []
    for some in masks.split(AT_ONCE):
        images = _repeated(pair, some.to(text.device))
        found = (task.encode_image(model, images) @ text.T)[:, 0].float()
        if task.rerank:
            kept = task.rerank.keep_image(model, images)
            fine = task.rerank.fine(model, kept, kept_text)[0]
            found = found + task.rerank.weight(model) * fine.to(found.device)
        scores.append(found.cpu())
    return torch.cat(scores)


def _repeated(pair: Batch, masks: Tensor) -> Batch:
    """The image of a pair once for each mask, without its caption."""
    fields = {
        field.name: value.expand(len(masks), *value.shape[1:])
        for field in dataclasses.fields(pair)
        if field.name.startswith(OF_IMAGES) and (value := getattr(pair, field.name)) is not None
    }
    return Batch(**{**fields, "region_mask": masks})
