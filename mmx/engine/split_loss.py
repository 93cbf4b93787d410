"""The loss of a model over a whole split, in batches as training has them and without learning from them."""

from contextlib import nullcontext

import torch
from torch import nn

from mmx.core.errors import DataError
from mmx.core.method import Method, Stage
from mmx.engine.evaluation_mode import evaluating
from mmx.engine.evaluator import PRECISIONS
from mmx.engine.loader import TrainingOrder
from mmx.engine.split_data import SplitData
from mmx.store.images import ImageError


def split_loss(
    method: Method, model: nn.Module, stage: Stage, data: SplitData, device: torch.device, precision: str
) -> float:
    """Mean over the images of a split, in nats; always of the same batches, of pictures as they are.

    Raises:
        DataError: when there are not two images to compare, or a picture cannot be read.
    """
    order, kind = TrainingOrder(data, stage, seed=0), PRECISIONS[precision]
    total = 0.0
    with evaluating(model):
        for plan in order.epoch(1):
            try:
                batch = data.batch(plan.rows, plan.captions).to(device)
            except ImageError as error:
                raise DataError(
                    f"a picture cannot be read: {error}. Put it back, or prepare the data again."
                ) from error
            with nullcontext() if kind is None else torch.autocast(device.type, dtype=kind):
                total += method.loss(model, batch, 1.0)["total"].item() * len(plan.rows)
    return total / order.images
