"""The loss of a model over a whole split, in batches as training has them and without learning from them."""

import torch
from torch import nn

from mmx.core.method import Method, Stage
from mmx.engine.evaluation_mode import evaluating
from mmx.engine.precision import autocast
from mmx.engine.split_data import SplitData
from mmx.engine.training_order import TrainingOrder
from mmx.engine.unreadable import unreadable
from mmx.store.images import ImageError


def split_loss(
    method: Method, model: nn.Module, stage: Stage, data: SplitData, device: torch.device, precision: str
) -> float:
    """Mean over the images of a split, in nats; always of the same batches, of pictures as they are.

    Raises:
        DataError: when there are not two images to compare, or a picture cannot be read.
    """
    order = TrainingOrder(data, stage, seed=0)
    total = 0.0
    with evaluating(model):
        for plan in order.epoch(1):
            try:
                batch = data.batch(plan.rows, plan.captions).to(device)
            except ImageError as error:
                raise unreadable(data, plan.rows, error) from error
            with autocast(device, precision):
                total += method.loss(model, batch, 1.0)["total"].item() * len(plan.rows)
    return total / order.images
