"""The network, its loss, and what is logged beside it."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from late_interaction.model import LateInteraction
from late_interaction.scores import late_scores
from late_interaction.settings import LateInteractionSettings
from mmx.core.assets import Assets
from mmx.core.tower import Tower
from mmx.nn.contrastive import positive_pairs


def build(settings: LateInteractionSettings, towers: dict[str, Tower], assets: Assets) -> LateInteraction:
    """The model; this method counts nothing before it learns."""
    return LateInteraction(settings, towers)


def compare(model: LateInteraction, rows: Mapping[str, Tensor], progress: float) -> dict[str, Tensor]:
    """A yes or a no of every pair, by the pooled vectors and by late interaction; nats a caption."""
    positive = positive_pairs(rows["image_group"], rows["text_group"]).T
    # half precision would round away what sets scores apart once they are multiplied by the scale
    with torch.autocast(rows["image"].device.type, enabled=False):
        scale = model.log_scale.exp()
        pooled = rows["text"] @ rows["image"].T
        late = late_scores(rows["patches"], rows["patch_mask"], rows["tokens"], rows["token_mask"])
        whole = sigmoid_loss(scale[0] * pooled + model.bias[0], positive)
        parts = sigmoid_loss(scale[1] * late + model.bias[1], positive)
    return {"total": whole + parts, "whole": whole, "late": parts}


def sigmoid_loss(logits: Tensor, positive: Tensor) -> Tensor:
    """[C, B] and which pairs are right, bool [C, B] -> the sum over images, the mean over captions."""
    return -functional.logsigmoid(torch.where(positive, logits, -logits)).sum(dim=1).mean()


def gauges(model: LateInteraction) -> dict[str, float]:
    """Scale and bias of both kinds of score."""
    (whole, late), (whole_bias, late_bias) = model.log_scale.exp().tolist(), model.bias.tolist()
    return {"scale": whole, "bias": whole_bias, "late_scale": late, "late_bias": late_bias}
