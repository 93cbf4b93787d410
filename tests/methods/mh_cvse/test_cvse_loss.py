"""The loss of mh-cvse: its terms, when each counts, and what they do not depend on."""

import dataclasses
import math

import pytest
import torch

from mmx.core.batch import Batch
from mmx.methods.mh_cvse.hinge import hardest_hinge, mean_hinge
from mmx.methods.mh_cvse.loss import divergence
from mmx.methods.mh_cvse.member import Views
from mmx.methods.mh_cvse.model import MhCvse
from mmx.methods.mh_cvse.stages import epoch_of, in_warmup
from mmx.nn.contrastive import contrastive_loss, positive_pairs
from tests.methods.doubles import build, make_batch, take
from tests.methods.mh_cvse.small import METHOD, preset, tiny

EVERY_TERM = {"contrastive_loss": 4.0}


def views(model: MhCvse, batch: Batch) -> tuple[Views, Views]:
    """What the levels of a model's only member say of images and captions."""
    (member,) = model.members
    return member.view_images(batch, member.concepts()), member.view_texts(batch, member.concepts())


def test_the_divergence_is_that_of_the_captions_from_the_image() -> None:
    """KL((1/2, 1/2) || (1/4, 3/4)) = ln(2)/2 + ln(2/3)/2, and KL of equal shares is 0."""
    text, image = torch.tensor([[0.5, 0.5], [0.2, 0.8]]), torch.tensor([[0.25, 0.75], [0.2, 0.8]])

    value = divergence(text, image, torch.eye(2, dtype=torch.bool))

    assert value.item() == pytest.approx((math.log(2) + math.log(2 / 3)) / 4)


def test_a_concept_that_the_image_does_not_look_at_costs_a_finite_sum() -> None:
    text, image = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]], requires_grad=True)

    value = divergence(text, image, torch.ones(1, 1, dtype=torch.bool))
    value.backward()

    assert value.item() == pytest.approx(12 * math.log(10), rel=1e-5)
    assert torch.isfinite(image.grad).all()


def test_the_divergence_is_a_mean_over_pairs_that_belong_together() -> None:
    text, image = torch.rand(3, 4).softmax(1), torch.rand(2, 4).softmax(1)
    positive = torch.tensor([[True, True, False], [False, False, True]])
    pairs = [(0, 0), (0, 1), (1, 2)]
    by_hand = sum((text[j] * (text[j] / image[i]).log()).sum() for i, j in pairs) / 3

    torch.testing.assert_close(divergence(text, image, positive), by_hand)


def test_the_parts_are_logged_unweighted_and_the_total_is_their_weighted_sum(batch: Batch) -> None:
    model = build(METHOD, tiny(balance="static", **EVERY_TERM)).eval()

    parts = METHOD.loss(model, batch, 0.5)

    weights = {"fused": 3.0, "instance": 5.0, "consensus": 1.0, "divergence": 2.0, "contrastive": 4.0}
    assert parts.keys() == {"total", *weights}
    expected = sum(weight * parts[name] for name, weight in weights.items())
    torch.testing.assert_close(parts["total"], expected)


def test_each_part_is_its_formula_on_the_level_that_it_names(batch: Batch) -> None:
    model = build(METHOD, tiny(learn_temperature=False, temperature=0.5, **EVERY_TERM)).eval()
    image, text = views(model, batch)
    positive = positive_pairs(batch.image_group, batch.text_group)

    parts = METHOD.loss(model, batch, 0.5)

    for name in ("fused", "instance", "consensus"):
        scores = getattr(image, name) @ getattr(text, name).T
        torch.testing.assert_close(parts[name], hardest_hinge(scores, positive, 0.2))
    contrastive = contrastive_loss(image.fused @ text.fused.T / 0.5, positive)
    torch.testing.assert_close(parts["contrastive"], contrastive)
    torch.testing.assert_close(parts["divergence"], divergence(text.shares, image.shares, positive))


def test_without_consensus_the_instance_alone_is_learned(batch: Batch) -> None:
    parts = METHOD.loss(build(METHOD, tiny(consensus=False, **EVERY_TERM)).eval(), batch, 0.5)

    assert parts.keys() == {"total", "instance", "contrastive"}


def test_a_term_of_weight_zero_is_left_out(batch: Batch) -> None:
    parts = METHOD.loss(build(METHOD, tiny(divergence_loss=0, fused_loss=0)).eval(), batch, 0.5)

    assert parts.keys() == {"total", "instance", "consensus"}


def test_in_the_warm_up_epochs_hinges_are_means_and_the_balancer_waits() -> None:
    settings = tiny(epochs=4, warmup_epochs=1)
    model, batch = build(METHOD, settings).eval(), make_batch(images=6)
    image, text = views(model, batch)
    scores, positive = image.instance @ text.instance.T, torch.eye(6, dtype=torch.bool)

    warm, later = METHOD.loss(model, batch, 0.2), METHOD.loss(model, batch, 0.25)

    torch.testing.assert_close(warm["instance"], mean_hinge(scores, positive, 0.2))
    torch.testing.assert_close(later["instance"], hardest_hinge(scores, positive, 0.2))
    model.train()
    METHOD.loss(model, batch, 0.2)
    assert model.members[0].balancer.steps == 0
    METHOD.loss(model, batch, 0.25)
    assert model.members[0].balancer.steps == 1


@pytest.mark.parametrize("batches", [1, 3, 7, 227])
def test_the_epoch_is_read_off_the_progress_at_every_step(batches: int) -> None:
    settings = preset(epochs=50, warmup_epochs=2)
    steps = 50 * batches

    epochs = [epoch_of(settings, step / steps) for step in range(steps)]

    assert epochs == [step // batches for step in range(steps)]
    assert sum(in_warmup(settings, step / steps) for step in range(steps)) == 2 * batches


@pytest.mark.parametrize("progress", [0.1, 0.9])
def test_a_batch_twice_over_costs_the_same(batch: Batch, progress: float) -> None:
    """Nothing is summed over the batch: all copies are right partners of each other."""
    settings = tiny(balance="static", contrastive_loss=0, epochs=4, warmup_epochs=1)
    model, twice = build(METHOD, settings).eval(), take(batch, torch.arange(8) % 4, torch.arange(16) % 8)

    torch.testing.assert_close(METHOD.loss(model, twice, progress), METHOD.loss(model, batch, progress))


def test_captions_of_two_pictures_of_one_thing_are_right_for_both() -> None:
    model, batch = build(METHOD, tiny()).eval(), make_batch(images=4)
    shared = dataclasses.replace(
        batch, image_group=torch.tensor([5, 5, 6, 7]), text_group=torch.tensor([5, 5, 6, 7])
    )
    swapped = take(shared, torch.arange(4), torch.tensor([1, 0, 2, 3]))

    torch.testing.assert_close(METHOD.loss(model, swapped, 0.5), METHOD.loss(model, shared, 0.5))


def test_a_learned_temperature_stays_above_its_least_value(batch: Batch) -> None:
    model = build(METHOD, tiny(**EVERY_TERM)).train()
    model.members[0].log_scale.data.fill_(9.0)

    METHOD.loss(model, batch, 0.5)["total"].backward()

    assert model.members[0].log_scale.item() == pytest.approx(math.log(100))
    assert model.members[0].log_scale.grad is not None


def test_half_precision_of_the_network_does_not_reach_the_scores(batch: Batch) -> None:
    model = build(METHOD, tiny(**EVERY_TERM)).eval()

    with torch.autocast("cpu", torch.bfloat16):
        parts = METHOD.loss(model, batch, 0.5)

    assert all(value.dtype == torch.float32 for value in parts.values())


def test_members_learn_as_if_each_were_alone(batch: Batch) -> None:
    """The loss is the mean of theirs; the gradient of each is its own, divided by their number."""
    model = build(METHOD, tiny(members=2)).train()
    alone = [build(METHOD, tiny()).train() for _ in range(2)]
    for single, member in zip(alone, model.members, strict=True):
        single.members[0].load_state_dict(member.state_dict())

    total = METHOD.loss(model, batch, 0.5)["total"]
    total.backward()
    losses = [METHOD.loss(single, batch, 0.5)["total"] for single in alone]
    sum(losses).backward()

    torch.testing.assert_close(total, sum(losses) / 2)
    for single, member in zip(alone, model.members, strict=True):
        for own, shared in zip(single.members[0].parameters(), member.parameters(), strict=True):
            torch.testing.assert_close(shared.grad, own.grad / 2)
