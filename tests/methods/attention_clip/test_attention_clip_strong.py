"""The recipe of person search over a pair of towers that share a space: random twins of CLIP's."""

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import normalize

from mmx.core.assets import NO_ASSETS, Assets
from mmx.core.batch import Batch
from mmx.core.discover import find_method
from mmx.core.errors import UsageError
from mmx.core.settings import resolve
from mmx.core.tower import Tower
from mmx.encoders.load import load_encoder
from mmx.methods.attention_clip.settings import AttentionClipSettings

METHOD = find_method("attention-clip")
SMALL = {"attention_width": 32, "heads": 4, "cross_layers": 2, "image_size": "96x32"}
CAPTIONS = ["a red coat", "a woman in a red coat", "a man with a blue bag", "green shorts and a cap"]


def strong(**changes) -> AttentionClipSettings:
    """The preset over tiny twins."""
    twins = {"image_encoder": "random:clip", "text_encoder": "random:clip", **SMALL, **changes}
    return resolve(AttentionClipSettings, [("strong", METHOD.presets["strong"]), ("test", twins)], "")[0]


def built(settings: AttentionClipSettings) -> torch.nn.Module:
    """The model over towers that read crops of the size that is asked for."""
    torch.manual_seed(0)
    towers = {name: load_encoder(use.encoder, name) for name, use in METHOD.towers(settings).items()}
    if hasattr(towers["image"], "resize"):
        towers["image"].resize(*settings.size)
    assets = Assets(tensors={"identities": torch.arange(3)})
    return METHOD.build(settings, {name: Tower(one.width, one) for name, one in towers.items()}, assets)


def crops(model: torch.nn.Module) -> Batch:
    """Four crops of three people, with a caption each."""
    ids = model.text_tower.tokenize(CAPTIONS)
    longest = max(map(len, ids))
    torch.manual_seed(1)
    people = torch.tensor([0, 0, 1, 2])
    return Batch(
        pixels=torch.randint(0, 256, (4, 3, 96, 32), dtype=torch.uint8),
        image_group=people,
        token_ids=torch.tensor([[*row, *[0] * (longest - len(row))] for row in ids]),
        token_mask=torch.tensor([[place < len(row) for place in range(longest)] for row in ids]),
        text_group=people,
    )


@torch.no_grad()
def test_it_begins_as_the_towers_themselves() -> None:
    """No heads, and what attention adds starts at zero: the space is the one that the towers share."""
    model = built(strong()).eval()
    batch, task = crops(model), METHOD.tasks[0]

    image = model.image_tower(batch.pixels)["image_embedding"]
    text = model.text_tower(batch.token_ids, batch.token_mask)["text_embedding"]

    torch.testing.assert_close(task.encode_image(model, batch), normalize(image, dim=-1))
    torch.testing.assert_close(task.encode_text(model, batch), normalize(text, dim=-1))


@pytest.mark.parametrize("stage", ["all", "pairs"])
def test_every_loss_of_the_recipe_reaches_both_towers(stage: str) -> None:
    settings = strong(cross_epochs=1)
    model = built(settings).train()
    groups = next(found for found in METHOD.stages(settings) if found.name == stage).groups
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(
            any(name.startswith(prefix) for group in groups for prefix in group.prefixes)
        )

    parts = METHOD.loss(model, crops(model), 0.0)
    parts["total"].backward()

    expected = {"total", "pairs", "identities", "words"} | ({"matches"} if stage == "pairs" else set())
    assert set(parts) == expected and all(part.isfinite() for part in parts.values())
    for tower in (model.image_tower, model.text_tower):
        assert any(parameter.grad is not None and parameter.grad.any() for parameter in tower.parameters())


def test_new_layers_learn_five_times_as_fast_as_the_towers() -> None:
    rates = {group.name: group.lr for group in METHOD.stages(strong())[0].groups}

    assert rates == {"layers": 5e-5, "image_tower": 1e-5, "text_tower": 1e-5}
    assert strong().size == (96, 32) and replace(strong(), image_size="384x128").size == (384, 128)


def test_towers_that_share_no_space_are_refused() -> None:
    settings = strong(image_encoder="random:resnet", text_encoder="random:bert")
    towers = {
        name: Tower(one.width, one)
        for name, one in (
            (name, load_encoder(use.encoder, name)) for name, use in METHOD.towers(settings).items()
        )
    }

    with pytest.raises(UsageError, match="share no space"):
        METHOD.build(settings, towers, NO_ASSETS)
