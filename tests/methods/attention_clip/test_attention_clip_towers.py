"""attention-clip over real encoders with random weights: towers and branches fit together."""

import dataclasses

import pytest
import torch

from mmx.core.assets import NO_ASSETS
from mmx.core.batch import Batch
from mmx.core.discover import find_method
from mmx.core.settings import resolve
from mmx.core.tower import Tower
from mmx.encoders.load import load_encoder
from mmx.methods.attention_clip.settings import AttentionClipSettings

METHOD = find_method("attention-clip")
CAPTIONS = ["a red circle", "two dogs run through the wet grass", "a small blue square beside a tree"]


@pytest.fixture(scope="module")
def encoders() -> dict:
    """The tiny twins of the tiny preset."""
    uses = METHOD.towers(resolve(AttentionClipSettings, [("tiny", METHOD.presets["tiny"])], "")[0])
    return {name: load_encoder(use.encoder, name) for name, use in uses.items()}


@pytest.fixture(scope="module")
def raw(encoders: dict) -> Batch:
    """Three noise pictures and three captions."""
    view = encoders["image"].view
    ids = encoders["text"].tokenize(CAPTIONS)
    longest = max(map(len, ids))
    padded = torch.tensor([[*row, *[0] * (longest - len(row))] for row in ids])
    mask = torch.tensor([[place < len(row) for place in range(longest)] for row in ids])
    pixels = torch.randint(0, 256, (3, 3, view.height, view.width), dtype=torch.uint8)
    return Batch(
        pixels=pixels,
        image_group=torch.arange(3),
        token_ids=padded,
        token_mask=mask,
        text_group=torch.arange(3),
    )


def test_trained_towers_get_gradients_from_the_loss(encoders: dict, raw: Batch) -> None:
    settings = AttentionClipSettings(
        attention="self", train_image=True, train_text=True, attention_width=32, width=16
    )
    towers = {name: Tower(encoder.width, encoder) for name, encoder in encoders.items()}
    model = METHOD.build(settings, towers, NO_ASSETS).train()

    METHOD.loss(model, raw, 0.0)["total"].backward()

    for tower in (model.image_tower, model.text_tower):
        assert any(parameter.grad is not None and parameter.grad.any() for parameter in tower.parameters())


@torch.no_grad()
def test_a_trained_tower_and_its_features_give_the_same_embeddings(encoders: dict, raw: Batch) -> None:
    torch.manual_seed(0)
    frozen = METHOD.build(
        AttentionClipSettings(attention="self", width=16),
        {name: Tower(encoder.width) for name, encoder in encoders.items()},
        NO_ASSETS,
    ).eval()
    trained = METHOD.build(
        AttentionClipSettings(attention="self", width=16, train_image=True, train_text=True),
        {name: Tower(encoder.width, encoder) for name, encoder in encoders.items()},
        NO_ASSETS,
    ).eval()
    trained.load_state_dict(frozen.state_dict(), strict=False)
    image, text = encoders["image"](raw.pixels), encoders["text"](raw.token_ids, raw.token_mask)
    features = Batch(
        image_features=image["image_features"],
        patch_features=image["patch_features"],
        text_features=text["text_features"],
        token_features=text["token_features"],
        token_mask=raw.token_mask,
    )

    task = METHOD.tasks[0]
    torch.testing.assert_close(task.encode_image(trained, raw), task.encode_image(frozen, features))
    torch.testing.assert_close(task.encode_text(trained, raw), task.encode_text(frozen, features))


@torch.no_grad()
def test_with_a_mirror_a_picture_and_its_mirror_have_one_embedding(encoders: dict, raw: Batch) -> None:
    towers = {name: Tower(encoder.width, encoder) for name, encoder in encoders.items()}
    mirrored = dataclasses.replace(raw, pixels=raw.pixels.flip(-1))
    encode = METHOD.tasks[0].encode_image
    for mirror in (True, False):
        settings = AttentionClipSettings(
            train_image=True, train_text=True, width=16, attention="none", mirror=mirror
        )
        torch.manual_seed(0)
        model = METHOD.build(settings, towers, NO_ASSETS).eval()

        same = torch.allclose(encode(model, raw), encode(model, mirrored), atol=1e-5)

        assert same == mirror
