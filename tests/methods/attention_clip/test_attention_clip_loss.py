"""The two losses of attention-clip, worked out by hand."""

import dataclasses
import math

import pytest
import torch

from mmx.core.discover import find_method
from mmx.methods.attention_clip.loss import faithful_loss
from mmx.methods.attention_clip.model import Reading, encode_image, encode_text
from mmx.methods.attention_clip.settings import AttentionClipSettings
from tests.methods.doubles import build, make_batch

METHOD = find_method("attention-clip")


def row_softmax(row: list[float]) -> list[float]:
    """Plain loop."""
    total = sum(math.exp(value) for value in row)
    return [math.exp(value) / total for value in row]


def test_the_faithful_loss_is_what_a_plain_loop_gives() -> None:
    image, text = [[0.5, -1.0], [1.5, 0.25]], [[1.0, 0.0], [-0.5, 2.0]]
    tau = 0.8
    dot = lambda a, b: sum(x * y for x, y in zip(a, b, strict=True))  # noqa: E731
    logits = [[dot(t, i) / tau for i in image] for t in text]
    alike = [[tau * (dot(image[m], image[n]) + dot(text[m], text[n])) / 2 for n in (0, 1)] for m in (0, 1)]
    targets = [row_softmax(row) for row in alike]
    across = [row_softmax(row) for row in logits]
    down = [row_softmax([logits[0][n], logits[1][n]]) for n in (0, 1)]
    texts = [-sum(targets[m][n] * math.log(across[m][n]) for n in (0, 1)) for m in (0, 1)]
    images = [-sum(targets[m][n] * math.log(down[n][m]) for m in (0, 1)) for n in (0, 1)]
    by_hand = (sum(texts) + sum(images)) / 4

    total = faithful_loss(torch.tensor(image), torch.tensor(text), torch.tensor(tau))

    assert total.item() == pytest.approx(by_hand, rel=1e-5)


def test_the_faithful_targets_are_part_of_the_gradient() -> None:
    image, text = torch.randn(3, 4, requires_grad=True), torch.randn(3, 4)
    logits = text @ image.T
    targets = ((image @ image.T + text @ text.T) / 2).softmax(-1).detach()
    rows = -(targets * logits.log_softmax(-1)).sum(-1)
    columns = -(targets.T * logits.T.log_softmax(-1)).sum(-1)
    (with_fixed_targets,) = torch.autograd.grad(((rows + columns) / 2).mean(), image)

    (gradient,) = torch.autograd.grad(faithful_loss(image, text, torch.tensor(1.0)), image)

    assert not torch.allclose(gradient, with_fixed_targets, atol=1e-3)


def test_pairs_that_do_not_match_in_number_are_refused() -> None:
    with pytest.raises(ValueError, match="2 images and 3 captions"):
        faithful_loss(torch.zeros(2, 4), torch.zeros(3, 4), torch.tensor(1.0))


def test_the_corrected_loss_is_symmetric_info_nce_of_cosines() -> None:
    settings = AttentionClipSettings(attention="self", temperature=0.5)
    model, batch = build(METHOD, settings).eval(), make_batch(images=3)
    cosines = encode_image(model, batch) @ encode_text(model, batch).T
    rows = [-math.log(row_softmax((cosines[i] / 0.5).tolist())[i]) for i in range(3)]
    columns = [-math.log(row_softmax((cosines[:, i] / 0.5).tolist())[i]) for i in range(3)]

    total = METHOD.loss(model, batch, 0.0)["total"]

    assert total.item() == pytest.approx((sum(rows) + sum(columns)) / 6, rel=1e-4)


def test_captions_of_one_identity_share_the_target() -> None:
    """Two pictures of one person: whichever of them a caption finds costs the same."""
    model, batch = build(METHOD, AttentionClipSettings(attention="self")).eval(), make_batch(images=4)
    shared = dataclasses.replace(
        batch, image_group=torch.tensor([5, 5, 6, 7]), text_group=torch.tensor([5, 5, 6, 7])
    )
    swapped = dataclasses.replace(shared, text_features=shared.text_features[[1, 0, 2, 3]])
    for field in ("token_features", "token_mask"):
        setattr(swapped, field, getattr(shared, field)[[1, 0, 2, 3]])

    found = [METHOD.loss(model, seen, 0.0)["total"] for seen in (swapped, shared)]
    torch.testing.assert_close(*found)


def test_a_learned_temperature_stays_above_its_least_value() -> None:
    model = build(METHOD, AttentionClipSettings(attention="self")).train()
    model.log_scale.data.fill_(9.0)

    METHOD.loss(model, make_batch(), 0.0)["total"].backward()

    assert model.log_scale.item() == pytest.approx(math.log(100))
    assert model.log_scale.grad is not None


def test_the_temperature_starts_where_clip_starts() -> None:
    model = build(METHOD, AttentionClipSettings(attention="self"))

    assert model.log_scale.item() == pytest.approx(math.log(1 / 0.07))


def test_a_fixed_temperature_is_no_parameter_and_is_kept_all_the_same() -> None:
    model = build(METHOD, AttentionClipSettings(attention="self", learn_temperature=False, temperature=1.0))

    assert "log_scale" not in dict(model.named_parameters())
    assert model.state_dict()["log_scale"].item() == 0


def test_half_precision_of_the_network_does_not_reach_the_scores() -> None:
    """Cosines of .999 and 1 are one number in bfloat16; at temperature .01 they are .1 nats apart."""
    image, text = torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.999, math.sqrt(1 - 0.999**2)]])
    model = build(METHOD, AttentionClipSettings(attention="self", temperature=0.01)).eval()
    model.look, model.read = lambda batch: Reading(image[None], []), lambda batch: Reading(text[None], [])
    batch = dataclasses.replace(make_batch(images=1), text_group=torch.tensor([0, 1]))

    with torch.autocast("cpu", torch.bfloat16):
        total = METHOD.loss(model, batch, 0.0)["total"]

    assert total.item() == pytest.approx(math.log(1 + math.exp(-0.1)) / 2, rel=1e-3)


def test_the_loss_of_members_is_the_mean_of_their_losses() -> None:
    batch, model = make_batch(), build(METHOD, AttentionClipSettings(members=3)).eval()
    losses = []
    for member in model.members:
        alone = build(METHOD, AttentionClipSettings()).eval()
        alone.members[0].load_state_dict(member.state_dict())
        losses.append(METHOD.loss(alone, batch, 0.0)["total"].item())

    assert len(set(losses)) == 3
    assert METHOD.loss(model, batch, 0.0)["total"].item() == pytest.approx(sum(losses) / 3)
