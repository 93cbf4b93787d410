"""explain: words and regions share out the score exactly, and what is not theirs is left over and seen."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from mmx.core.batch import Batch
from mmx.core.discover import find_method
from mmx.core.settings import resolve
from mmx.methods.mh_cvse.explanation import explain
from mmx.methods.mh_cvse.model import MhCvse, encode_image, encode_text
from tests.methods.doubles import REGIONS, build, make_batch, pad

METHOD = find_method("mh-cvse")
PLAIN = {"consensus": False, "pooled_path": "none"}
POOLINGS = ("gated", "gpo", "mean")


def make_model(**changes: Any) -> MhCvse:
    """A model whose weights have left their start, so that no part of it says nothing."""
    layers = [("preset", METHOD.presets["tiny"]), ("test", {"slots": REGIONS, **changes})]
    settings, _ = resolve(METHOD.settings, layers, "")
    model = build(METHOD, settings).eval()
    random = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=random)
    return model


def score(model: MhCvse, batch: Batch) -> Tensor:
    return (encode_image(model, batch) * encode_text(model, batch)).sum(dim=1)


@pytest.mark.parametrize("text", ["words", "encoder"])
@pytest.mark.parametrize("gate_norm", ["batch", "layer"])
@pytest.mark.parametrize("attention", [True, False])
@pytest.mark.parametrize("pooling", POOLINGS)
@torch.no_grad()
def test_without_concepts_and_pooled_path_words_and_regions_are_the_whole_score(
    pooling: str, attention: bool, gate_norm: str, text: str
) -> None:
    model = make_model(**PLAIN, pooling=pooling, attention=attention, gate_norm=gate_norm, text=text)
    batch = make_batch()

    met = explain(model, batch)

    assert met.shape == (4, 6, 5)
    torch.testing.assert_close(met.sum(dim=(1, 2)), score(model, batch))


@torch.no_grad()
def test_the_score_of_two_members_is_shared_out_as_that_of_one() -> None:
    model = make_model(**PLAIN, members=2)
    batch = make_batch()

    met = explain(model, batch)

    torch.testing.assert_close(met.sum(dim=(1, 2)), score(model, batch))


@pytest.mark.parametrize("pooling", POOLINGS)
@torch.no_grad()
def test_beside_a_pooled_path_they_sum_to_the_product_of_the_two_pooled_parts(pooling: str) -> None:
    """x = l2(path + W pool + b) on both sides: W pool / |..| is what regions, and words, gave."""
    model = make_model(consensus=False, pooled_path="both", text="encoder", pooling=pooling, token_width=8)
    batch = make_batch()
    pooled = []
    for branch, inputs in (
        (model.members[0].image_branch, model.members[0].read_images(batch)),
        (model.members[0].text_branch, model.members[0].read_texts(batch)),
    ):
        tokens = branch.attend(branch.embed(*inputs), inputs[1])
        joined = branch.join(branch.pool(tokens, inputs[1]))
        length = (joined + branch.pooled_path(*inputs)).norm(dim=1, keepdim=True)
        pooled.append((joined - branch.join.bias) / length)

    met = explain(model, batch).sum(dim=(1, 2))

    torch.testing.assert_close(met, (pooled[0] * pooled[1]).sum(dim=1))
    assert not torch.allclose(met, score(model, batch), atol=1e-3)


@pytest.mark.parametrize("fusion", ["weighted", "concat", "adaptive"])
@torch.no_grad()
def test_with_concepts_they_sum_to_the_product_of_what_the_instances_gave(fusion: str) -> None:
    """The consensus has 0.2 of the score, and a say in what is fused: all that is left over."""
    model = make_model(pooled_path="none", fusion=fusion, consensus_weight=0.2)
    batch = make_batch()
    image, text = (
        view(batch, model.members[0].concepts())
        for view in (model.members[0].view_images, model.members[0].view_texts)
    )
    fused = []
    for fuse, views in ((model.members[0].image_fusion, image), (model.members[0].text_fusion, text)):
        fused.append(fuse.parts(views.instance[:, None], views.instance, views.consensus)[:, 0])

    met = explain(model, batch).sum(dim=(1, 2))

    torch.testing.assert_close(met, 0.8 * (fused[0] * fused[1]).sum(dim=1))


@torch.no_grad()
def test_what_an_instance_gives_to_weighted_fusion_is_its_weight_over_the_length() -> None:
    model = make_model(fusion="weighted")
    views = model.members[0].view_images(make_batch(), model.members[0].concepts())
    weights = model.members[0].image_fusion.theta.softmax(dim=0)
    whole = weights[0] * views.instance + weights[1] * views.consensus

    given = model.members[0].image_fusion.parts(views.instance[:, None], views.instance, views.consensus)[
        :, 0
    ]

    torch.testing.assert_close(given, weights[0] * views.instance / whole.norm(dim=1, keepdim=True))
    torch.testing.assert_close(
        given + weights[1] * views.consensus / whole.norm(dim=1, keepdim=True), views.fused
    )


@torch.no_grad()
def test_a_mirrored_picture_takes_its_part_and_leaves_the_rest_to_the_picture_itself() -> None:
    """l2(e + e') . t = (e + e') . t / |e + e'|, of which only e is shown."""
    model = make_model(**PLAIN, mirror=True)
    batch = make_batch()
    plain = replace(batch, region_features_mirrored=None)
    swapped = replace(batch, region_features=batch.region_features_mirrored, region_features_mirrored=None)
    both = encode_image(model, plain) + encode_image(model, swapped)

    shown, alone = explain(model, batch), explain(model, plain)

    torch.testing.assert_close(shown, alone / both.norm(dim=1)[:, None, None])


@pytest.mark.parametrize("pooling", POOLINGS)
@torch.no_grad()
def test_nothing_meets_on_padding_and_padding_changes_nothing(pooling: str) -> None:
    model = make_model(pooling=pooling, gate_norm="layer")
    batch = make_batch()

    met, padded = explain(model, batch), explain(model, pad(batch, 2))

    there = batch.token_mask[:, :, None] & batch.region_mask[:, None, :]
    assert met[~there].abs().max() == 0
    torch.testing.assert_close(padded[:, :6, :5], met, atol=1e-5, rtol=1e-4)
    assert padded[:, 6:].abs().max() == 0
    assert padded[:, :, 5:].abs().max() == 0


@torch.no_grad()
def test_words_beyond_those_read_meet_nothing() -> None:
    model = make_model(**PLAIN, max_tokens=3)

    met = explain(model, make_batch())

    assert met.shape == (4, 6, 5)
    assert met[:, 3:].abs().max() == 0
    assert met[:, :3].abs().max() > 0


@torch.no_grad()
def test_a_picture_without_regions_leaves_all_to_the_rest() -> None:
    model = make_model(**PLAIN, gate_norm="layer")
    batch = make_batch()
    batch.region_mask[1] = False

    met = explain(model, batch)

    assert met[1].abs().max() == 0
    assert met[0].abs().max() > 0
