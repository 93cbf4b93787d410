"""The two stages of region-align over stub towers: where the second begins, and what it leaves alone."""

import dataclasses

import pytest
import torch
from torch import Tensor

from mmx.core.batch import Batch
from mmx.core.discover import find_method
from mmx.core.errors import UsageError
from mmx.core.settings import resolve
from mmx.core.tower import Tower
from mmx.methods.region_align.loss import compare, represent
from mmx.methods.region_align.model import RegionAlign
from mmx.methods.region_align.settings import RegionAlignSettings
from mmx.tasks.rerank import FirstStage, rerank
from tests.methods.doubles import WIDTH, StubImageTower, StubTextTower, build, make_batch, pad, take

METHOD = find_method("region-align")
TASK = METHOD.tasks[0]
RERANK = TASK.rerank
CASES = {
    "frozen": {},
    "tuned": {"train_image": True},
    "shared space": {"train_image": True, "train_text": True, "projection": "none"},
    "detector": {"train_image": True, "regions": "faster-rcnn"},
    "maxsim": {"fine": "maxsim"},
    "maxsim detector": {"fine": "maxsim", "regions": "faster-rcnn"},
    "gather": {"fine": "gather", "members": 2},
    "gather windows": {"fine": "gather", "train_image": True, "region_window": 2},
    "gather detector": {"fine": "gather", "regions": "faster-rcnn"},
    "gather in one space": {"fine": "gather", "train_image": True, "train_text": True, "projection": "none"},
}


def settings(**changes: object) -> RegionAlignSettings:
    """Narrow layers, and what a test asks for."""
    narrow = {"width": 8, "hidden_width": 16, "attention_width": 8}
    return resolve(RegionAlignSettings, [("test", {**narrow, **changes})], "")[0]


@pytest.fixture(params=CASES)
def chosen(request: pytest.FixtureRequest) -> RegionAlignSettings:
    """Settings of each kind."""
    return settings(**CASES[request.param])


@pytest.fixture
def pairs() -> Batch:
    """Four images with two captions each."""
    return make_batch(captions_per_image=2)


def learned(chosen: RegionAlignSettings) -> RegionAlign:
    """A model whose alignment says something."""
    model = build(METHOD, chosen).eval()
    with torch.no_grad():
        for parameter in model.alignment.parameters():
            parameter.copy_(
                torch.randn_like(parameter) / parameter.shape[-1] ** 0.5 if parameter.ndim else 0.7
            )
        if chosen.gathers:
            # what it standardises by comes of a step of training
            batch = make_batch(captions_per_image=2)
            model.alignment.train()
            compare(model, represent(model, batch), 0.5)
            model.alignment.eval()
    return model


@torch.no_grad()
def kept(model: RegionAlign, batch: Batch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """What is kept of the images and captions of a batch, without their embeddings."""
    image, text = dict(RERANK.keep_image(model, batch)), dict(RERANK.keep_text(model, batch))
    image.pop("image_embedding", None)
    text.pop("text_embedding", None)
    return image, text


@torch.no_grad()
def scores(model: RegionAlign, batch: Batch) -> Tensor:
    """The score [C, B] that ranks, by the words of the contract."""
    cosine = TASK.encode_text(model, batch) @ TASK.encode_image(model, batch).T
    return cosine + RERANK.weight(model) * RERANK.fine(model, *kept(model, batch))


@torch.no_grad()
def cosines(model: RegionAlign, batch: Batch) -> Tensor:
    return TASK.encode_text(model, batch) @ TASK.encode_image(model, batch).T


def test_an_untrained_second_stage_gives_the_first_stage_bit_for_bit(
    chosen: RegionAlignSettings, pairs: Batch
) -> None:
    if not chosen.learns_fine:
        return
    model = build(METHOD, chosen).eval()

    fine = RERANK.fine(model, *kept(model, pairs))

    assert torch.equal(fine, torch.zeros(8, 4)) and RERANK.weight(model) == 0
    assert torch.equal(cosines(model, pairs) + model.fine_weight() * fine, cosines(model, pairs))


def test_a_fine_weight_of_zero_gives_the_first_stage_bit_for_bit(
    chosen: RegionAlignSettings, pairs: Batch
) -> None:
    model = learned(dataclasses.replace(chosen, fine_weight=0.0))

    assert RERANK.weight(model) == 0
    assert torch.equal(scores(model, pairs), cosines(model, pairs))


def test_a_trained_second_stage_changes_scores(chosen: RegionAlignSettings, pairs: Batch) -> None:
    model = learned(chosen)

    assert not torch.allclose(scores(model, pairs), cosines(model, pairs), atol=1e-4)


def test_what_is_kept_holds_the_first_stage_as_it_is_encoded(
    chosen: RegionAlignSettings, pairs: Batch
) -> None:
    model = learned(chosen)

    with torch.no_grad():
        image, text = RERANK.keep_image(model, pairs), RERANK.keep_text(model, pairs)
        assert torch.equal(text["text_embedding"], TASK.encode_text(model, pairs))
        assert ("image_embedding" in image) == chosen.reads_grid
        if chosen.reads_grid:
            assert torch.equal(image["image_embedding"], TASK.encode_image(model, pairs))


def test_a_pair_is_scored_alike_alone_in_any_order_and_with_any_padding(
    chosen: RegionAlignSettings, pairs: Batch
) -> None:
    model = learned(chosen)
    whole = RERANK.fine(model, *kept(model, pairs))

    alone = RERANK.fine(model, *kept(model, take(pairs, torch.tensor([2, 0]), torch.tensor([5, 1]))))
    longer = RERANK.fine(model, *kept(model, pad(pairs, 3)))

    torch.testing.assert_close(alone, whole[[5, 1]][:, [2, 0]], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(longer, whole, atol=1e-5, rtol=1e-5)
    assert whole.shape == (8, 4) and whole.dtype == torch.float32


def test_ranking_all_of_the_nearest_again_is_scoring_all_pairs(chosen: RegionAlignSettings) -> None:
    model, batch = learned(chosen), make_batch(images=7, captions_per_image=2)
    with torch.no_grad():
        image, text = TASK.encode_image(model, batch), TASK.encode_text(model, batch)
    first = FirstStage.of(image, text, batch.image_group, batch.text_group)
    images, texts = kept(model, batch)

    def fine(rows: Tensor, captions: Tensor) -> Tensor:
        sides = ({name: value[rows] for name, value in images.items()},)
        sides += ({name: value[captions] for name, value in texts.items()},)
        with torch.no_grad():
            return RERANK.fine(model, *sides)

    weights = [RERANK.weight(model)]
    nearest, full = rerank(first, fine, weights, top=14)[0], rerank(first, fine, weights)[0]

    assert torch.equal(nearest.i2t, full.i2t) and torch.equal(nearest.t2i, full.t2i)


def test_an_explanation_adds_up_to_what_the_second_stage_adds(
    chosen: RegionAlignSettings, pairs: Batch
) -> None:
    model = learned(chosen)
    paired = take(pairs, torch.tensor([0, 1, 2, 3]), torch.tensor([0, 3, 4, 7]))

    with torch.no_grad():
        parts = TASK.explain(model, paired)

    added = (scores(model, paired) - cosines(model, paired)).diagonal()
    torch.testing.assert_close(parts.sum(dim=(1, 2)), added, atol=1e-5, rtol=1e-4)
    assert not parts[:, 0].any(), "the start sign takes nothing"


def test_half_precision_leaves_the_fine_score_in_full_precision(
    chosen: RegionAlignSettings, pairs: Batch
) -> None:
    model = learned(chosen)

    with torch.autocast("cpu", torch.bfloat16):
        found = RERANK.fine(model, *kept(model, pairs))

    assert found.dtype == torch.float32
    torch.testing.assert_close(found, RERANK.fine(model, *kept(model, pairs)), atol=0.1, rtol=0.1)


def test_hidden_patches_of_a_picture_that_is_read_have_no_say(pairs: Batch) -> None:
    model = learned(settings(train_image=True))
    bare = dataclasses.replace(pairs, region_features=None, region_mask=None, region_boxes=None)
    hidden = torch.ones(4, 4, dtype=torch.bool)
    hidden[:, 2:] = False

    seen = kept(model, dataclasses.replace(bare, region_mask=hidden))[0]

    assert torch.equal(seen["mask"], hidden)
    assert bool(kept(model, bare)[0]["mask"].all())


def test_the_mirror_is_a_part_of_the_embedding_only(pairs: Batch) -> None:
    model, plain = learned(settings(train_image=True, mirror=True)), learned(settings(train_image=True))
    flipped = dataclasses.replace(pairs, pixels=pairs.pixels.flip(-1))
    for tower in (model.image_tower, plain.image_tower):
        # one that sees the upper left corner only: a mean over the picture would not tell its mirror
        tower.register_forward_hook(
            lambda _, __, read: read | {"image_features": read["patch_features"][:, 0]}
        )

    with torch.no_grad():
        both = TASK.encode_image(model, pairs)
        torch.testing.assert_close(both, TASK.encode_image(model, flipped))
        assert not torch.allclose(both, TASK.encode_image(plain, pairs), atol=1e-4)
        assert torch.equal(RERANK.keep_image(model, pairs)["image_embedding"], both)
    assert torch.equal(kept(model, pairs)[0]["evidence"], kept(plain, pairs)[0]["evidence"])


def test_towers_of_different_widths_share_no_space() -> None:
    towers = {"image": Tower(WIDTH, StubImageTower()), "text": Tower(WIDTH, StubTextTower(width=WIDTH + 4))}

    with pytest.raises(UsageError, match="'efficientnet-lite0' and 'minilm' share no space"):
        METHOD.build(settings(**CASES["shared space"]), towers, None)
