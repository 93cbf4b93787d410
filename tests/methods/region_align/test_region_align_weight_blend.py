"""WiSE-FT: weights between those a tower began with and those it was tuned to."""

import copy

import pytest
import torch

from mmx.methods.region_align.weight_blend import WeightBlend
from tests.methods.doubles import StubImageTower, build, make_batch
from tests.methods.region_align.test_region_align_model import METHOD, TASK, settings

PIXELS = make_batch().pixels


def tuned(share: float) -> tuple[StubImageTower, StubImageTower, WeightBlend]:
    """A tower as it began, as it is now, and what stands between them."""
    torch.manual_seed(0)
    tower = StubImageTower()
    start, blend = copy.deepcopy(tower), WeightBlend(tower, share)
    with torch.no_grad():
        for parameter in tower.parameters():
            parameter.add_(torch.randn_like(parameter))
    return start, tower, blend


@torch.no_grad()
@pytest.mark.parametrize("share", [0.0, 1.0])
def test_share_0_is_the_start_and_share_1_the_tuned_tower(share: float) -> None:
    start, tower, blend = tuned(share)
    meant = tower if share else start

    torch.testing.assert_close(blend(tower, PIXELS)["image_features"], meant(PIXELS)["image_features"])


@torch.no_grad()
def test_in_between_every_weight_is_a_mean() -> None:
    start, tower, blend = tuned(0.25)
    mean = copy.deepcopy(start)
    for made, one, other in zip(mean.parameters(), start.parameters(), tower.parameters(), strict=True):
        made.copy_(0.75 * one + 0.25 * other)

    torch.testing.assert_close(blend(tower, PIXELS)["image_features"], mean(PIXELS)["image_features"])


@torch.no_grad()
def test_the_tower_itself_is_left_as_it_is() -> None:
    _, tower, blend = tuned(0.5)
    before = copy.deepcopy(tower.state_dict())

    blend(tower, PIXELS, project=True)

    assert all(torch.equal(value, before[name]) for name, value in tower.state_dict().items())


def test_a_run_keeps_the_tuned_weights_alone_and_the_start_is_the_pretrained_tower() -> None:
    plain, blended = (
        build(METHOD, settings(train_image=True, wise_share=share)).state_dict() for share in (1.0, 0.5)
    )

    assert plain.keys() == blended.keys()


@torch.no_grad()
def test_training_reads_the_tuned_weights_and_evaluation_those_in_between() -> None:
    """A share of 0: in evaluation the pretrained tower, whatever training did."""
    model, batch = build(METHOD, settings(train_image=True, wise_share=0.0)).eval(), make_batch()
    start = TASK.encode_image(model, batch)
    for parameter in model.image_tower.parameters():
        parameter.add_(0.3)
    plain = build(METHOD, settings(train_image=True)).eval()
    plain.load_state_dict(model.state_dict())

    torch.testing.assert_close(TASK.encode_image(model, batch), start)
    model.image_tower.train()
    assert torch.equal(TASK.encode_image(model, batch), TASK.encode_image(plain, batch))
    assert not torch.allclose(TASK.encode_image(plain, batch), start, atol=1e-3)
