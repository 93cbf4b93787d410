"""The loss of a split: a mean over its images, the same each time, and nobody learns from it."""

import pytest
import torch

from mmx.engine.split_loss import split_loss
from tests.engine.stub_training import contrast, make_data, make_method, make_model, stage

CPU = torch.device("cpu")


def test_it_is_the_same_each_time_and_changes_no_weight_and_no_mode() -> None:
    model, data, chosen = make_model().train(), make_data(), stage()
    before = {name: value.clone() for name, value in model.named_parameters()}

    first, second = (split_loss(make_method([chosen]), model, chosen, data, CPU, "fp32") for _ in range(2))

    assert first == second and model.training
    assert all(torch.equal(value, before[name]) for name, value in model.named_parameters())


def test_batches_count_by_their_images() -> None:
    """Of 23 images in batches of 10 the last three weigh 3 / 23."""
    seen: list[int] = []

    def loss(model, batch, progress):
        seen.append(len(batch.image_group))
        return {"total": torch.tensor(float(len(batch.image_group)))}

    chosen = stage(batch_size=10)
    found = split_loss(make_method([chosen], loss), make_model(), chosen, make_data(), CPU, "fp32")

    assert seen == [10, 10, 3] and found == pytest.approx((100 + 100 + 9) / 23)


def test_half_precision_is_near() -> None:
    model, data, chosen = make_model(), make_data(), stage()
    full, half = (
        split_loss(make_method([chosen], contrast), model, chosen, data, CPU, kind)
        for kind in ("fp32", "bf16")
    )

    assert full != half and half == pytest.approx(full, rel=0.05)
