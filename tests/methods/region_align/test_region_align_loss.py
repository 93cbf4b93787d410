"""What region-align learns from: hand-worked losses, and who is moved by them."""

import math

import pytest
import torch

from mmx.core.batch import Batch
from mmx.methods.region_align.loss import sigmoid_loss
from mmx.nn.contrastive import contrastive_loss, positive_pairs
from tests.methods.doubles import build, make_batch
from tests.methods.region_align.test_region_align_model import METHOD, TASK, settings


@pytest.fixture
def pairs() -> Batch:
    """Four images with two captions each."""
    return make_batch(captions_per_image=2)


def freeze_all_but(model: torch.nn.Module, *prefixes: str) -> None:
    """Gradients for what a stage trains alone, as the trainer does it."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith(prefixes))


def test_the_first_stage_is_infonce_of_cosines(pairs: Batch) -> None:
    model = build(METHOD, settings(temperature=0.1)).eval()
    freeze_all_but(model, "image_head", "text_head")

    found = METHOD.loss(model, pairs, 0.0)

    cosine = TASK.encode_image(model, pairs) @ TASK.encode_text(model, pairs).T
    expected = contrastive_loss(cosine / 0.1, positive_pairs(pairs.image_group, pairs.text_group))
    torch.testing.assert_close(found["total"], expected)


def test_the_second_stage_begins_with_the_loss_of_the_first(pairs: Batch) -> None:
    model = build(METHOD, settings()).eval()
    both = METHOD.loss(model, pairs, 0.0)["total"]
    freeze_all_but(model, "image_head", "text_head")

    assert torch.equal(METHOD.loss(model, pairs, 0.0)["total"], both)


def test_the_second_stage_learns_the_sum_of_both_scores(pairs: Batch) -> None:
    model = build(METHOD, settings(fine_weight=0.5, temperature=0.2)).eval()
    torch.nn.init.normal_(model.alignment.output.weight)
    rerank = TASK.rerank

    found = METHOD.loss(model, pairs, 0.0)["total"]

    cosine = TASK.encode_text(model, pairs) @ TASK.encode_image(model, pairs).T
    fine = rerank.fine(model, rerank.keep_image(model, pairs), rerank.keep_text(model, pairs))
    positive = positive_pairs(pairs.image_group, pairs.text_group)
    torch.testing.assert_close(found, contrastive_loss((cosine / 0.2 + 0.5 * fine).T, positive))
    assert rerank.weight(model) == pytest.approx(0.5 * 0.2)


def test_towers_and_heads_get_no_gradient_in_the_second_stage(pairs: Batch) -> None:
    model = build(METHOD, settings(train_image=True, train_text=True, projection="none"))
    freeze_all_but(model, *METHOD.stages(model.settings)[-1].groups[0].prefixes)

    METHOD.loss(model, pairs, 0.0)["total"].backward()

    moved = {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None}
    assert moved == {"alignment"}


def test_the_fine_score_can_be_asked_to_rank_by_itself(pairs: Batch) -> None:
    model = build(METHOD, settings(fine_loss=0.5)).eval()
    torch.nn.init.normal_(model.alignment.output.weight)

    found = METHOD.loss(model, pairs, 0.0)

    torch.testing.assert_close(found["total"], found["both"] + 0.5 * found["fine"])


def test_the_sigmoid_loss_judges_each_pair_by_itself() -> None:
    """One image, two captions: (log(1 + e^-2) + log(1 + e^1)) / 2."""
    found = sigmoid_loss(torch.tensor([[2.0, 1.0]]), torch.tensor([[True, False]]))

    assert found.item() == pytest.approx((math.log(1 + math.exp(-2)) + math.log(1 + math.e)) / 2)


def test_sigmoid_begins_with_scale_ten_and_bias_minus_ten(pairs: Batch) -> None:
    model = build(METHOD, settings(loss="sigmoid", learn_temperature=True)).eval()
    freeze_all_but(model, "image_head")

    cosine = TASK.encode_image(model, pairs) @ TASK.encode_text(model, pairs).T
    positive = positive_pairs(pairs.image_group, pairs.text_group)

    assert (model.scale().item(), model.bias.item()) == (pytest.approx(10), -10)
    torch.testing.assert_close(
        METHOD.loss(model, pairs, 0.0)["total"], sigmoid_loss(10 * cosine - 10, positive)
    )


def test_a_learned_temperature_stays_above_its_least(pairs: Batch) -> None:
    model = build(METHOD, settings(learn_temperature=True, least_temperature=0.05)).train()
    model.log_scale.data.fill_(9.0)

    METHOD.loss(model, pairs, 0.0)["total"].backward()

    assert model.log_scale.exp().item() == pytest.approx(20)
    assert model.log_scale.grad is not None


def test_a_temperature_that_is_not_learned_in_this_stage_stays_as_it_is(pairs: Batch) -> None:
    model = build(METHOD, settings(learn_temperature=True, least_temperature=0.05)).train()
    model.log_scale.data.fill_(4.0)
    freeze_all_but(model, "alignment")

    METHOD.loss(model, pairs, 0.0)["total"].backward()

    assert model.log_scale.item() == 4


def test_each_member_learns_by_itself_from_whole_pictures_and_captions(pairs: Batch) -> None:
    still = {"text_dropout": 0.0, "image_dropout": 0.0, "dropout": 0.0}
    chosen = settings(fine="gather", members=2, sum_loss=0.0, fine_loss=1.0, temperature=0.2, **still)
    model = build(METHOD, chosen).train()
    freeze_all_but(model, "alignment")

    found = METHOD.loss(model, pairs, 0.0)

    images, texts = TASK.rerank.keep_image(model, pairs), TASK.rerank.keep_text(model, pairs)
    cosines = torch.einsum("gkd,qkd->kgq", images["evidence"][:, 0], texts["caption"][:, 0])
    positive = positive_pairs(pairs.image_group, pairs.text_group)
    losses = [contrastive_loss(cosine / 0.2, positive) for cosine in cosines]
    torch.testing.assert_close(found["total"], sum(losses) / 2)
    assert set(found) == {"total"} and images["evidence"].shape[1] == 1
