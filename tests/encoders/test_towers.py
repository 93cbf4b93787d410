"""What every encoder promises, on the tiny random twin of each architecture."""

import pytest
import torch
from torch.nn import functional

from mmx.encoders.batch_norm import freeze
from mmx.encoders.load import RANDOM, load_encoder

ELSEWHERE = ("efficientnet", "faster-rcnn")
"""Tested in files of their own: one needs an extra, the other gives regions."""
IMAGE_KINDS = [kind for kind in RANDOM["image"] if kind not in ELSEWHERE]
WRITTEN = ["a dog", "two red dogs run over the green grass , side by side", "", "🙂 שלום"]


def _pixels(count: int, view: object) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    coarse = torch.rand(count, 3, 5, 5, generator=generator) * 255
    return functional.interpolate(coarse, size=(view.height, view.width)).to(torch.uint8)


def _padded(tower: object, captions: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
    tokens = tower.tokenize(captions)
    longest = max(map(len, tokens))
    ids = torch.tensor([[*row, *[0] * (longest - len(row))] for row in tokens])
    return ids, torch.arange(longest) < torch.tensor([len(row) for row in tokens])[:, None]


@pytest.mark.parametrize("kind", IMAGE_KINDS)
@torch.inference_mode()
def test_the_features_of_a_picture_do_not_depend_on_the_batch(kind: str) -> None:
    tower = load_encoder(f"random:{kind}", "image")
    pixels = _pixels(4, tower.view)

    together, alone = tower(pixels), tower(pixels[2:3])

    assert together["image_features"].shape == (4, tower.width)
    assert together["patch_features"].shape[::2] == (4, tower.width)
    for field, values in together.items():
        torch.testing.assert_close(values[2:3], alone[field], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", RANDOM["text"])
@torch.inference_mode()
def test_the_features_of_a_caption_do_not_depend_on_the_batch(kind: str) -> None:
    tower = load_encoder(f"random:{kind}", "text")

    together = tower(*_padded(tower, WRITTEN))

    for row, caption in enumerate(WRITTEN):
        ids, mask = _padded(tower, [caption])
        alone = tower(ids, mask)
        torch.testing.assert_close(
            together["text_features"][row], alone["text_features"][0], atol=1e-5, rtol=1e-4
        )
        length = ids.shape[1]
        torch.testing.assert_close(
            together["token_features"][row, :length], alone["token_features"][0], atol=1e-5, rtol=1e-4
        )


@pytest.mark.parametrize("kind", RANDOM["text"])
def test_a_monstrous_caption_is_cut_at_the_limit(kind: str) -> None:
    tower = load_encoder(f"random:{kind}", "text")

    lengths = [len(ids) for ids in tower.tokenize(["word " * 20_000, "\ud800 lone", ""])]

    assert lengths[0] == 32
    assert min(lengths) >= 2


@pytest.mark.parametrize("kind", ["clip", "siglip"])
@torch.inference_mode()
def test_paired_towers_share_a_space_of_unit_vectors(kind: str) -> None:
    image, text = (load_encoder(f"random:{kind}", modality) for modality in ("image", "text"))

    seen = image(_pixels(2, image.view))["image_embedding"]
    read = text(*_padded(text, ["a dog", "a cat"]))["text_embedding"]

    assert seen.shape[1] == read.shape[1] == image.embedding_width == text.embedding_width
    torch.testing.assert_close(torch.cat([seen, read]).norm(dim=1), torch.ones(4))


@pytest.mark.parametrize(
    ("name", "modality"),
    [
        (f"random:{kind}", modality)
        for modality in RANDOM
        for kind in RANDOM[modality]
        if kind not in ELSEWHERE
    ],
)
def test_blocks_cover_every_parameter_once_and_in_order(name: str, modality: str) -> None:
    tower = load_encoder(name, modality)

    blocks = tower.blocks()

    for parameter, _ in tower.named_parameters():
        owners = [
            i for i, prefixes in enumerate(blocks) if any(parameter.startswith(prefix) for prefix in prefixes)
        ]
        assert len(owners) == 1, parameter
    assert len(blocks) >= 3


@torch.inference_mode()
def test_folding_batch_norm_changes_nothing_that_can_be_seen() -> None:
    plain, frozen = load_encoder("random:resnet", "image"), freeze(load_encoder("random:resnet", "image"))
    pixels = _pixels(4, plain.view)

    before, after = plain(pixels)["patch_features"], frozen(pixels)["patch_features"]

    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in frozen.modules())
    assert functional.cosine_similarity(before, after, dim=-1).min() > 0.9999
    assert frozen.fingerprint == plain.fingerprint


@torch.inference_mode()
def test_the_layers_of_a_plug_in_are_left_in_the_order_in_which_it_runs_them() -> None:
    plugged = Shared().eval()
    maps = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))

    before = plugged(maps)

    assert torch.equal(freeze(plugged)(maps), before)


class Shared(torch.nn.Module):
    """One activation, run behind both convolutions, and a norm that is registered last and runs first."""

    name = "plugin:shared"

    def __init__(self) -> None:
        super().__init__()
        self.first, self.relu = torch.nn.Conv2d(3, 3, 3), torch.nn.ReLU()
        self.second, self.norm = torch.nn.Conv2d(3, 3, 3), torch.nn.BatchNorm2d(3)
        self.norm.running_mean.fill_(1.0)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return self.relu(self.second(self.relu(self.first(self.norm(maps)))))


def test_training_a_tower_leaves_its_running_averages_alone() -> None:
    tower = load_encoder("random:resnet", "image").train()
    before = {name: value.clone() for name, value in tower.named_buffers() if "running" in name}

    tower(_pixels(4, tower.view))["image_features"].sum().backward()

    assert before
    assert all(torch.equal(value, dict(tower.named_buffers())[name]) for name, value in before.items())
    assert any(parameter.grad is not None for parameter in tower.parameters())


def test_the_fingerprint_follows_the_weights() -> None:
    one, other = load_encoder("random:bert", "text"), load_encoder("random:bert", "text")

    assert one.fingerprint == other.fingerprint
    assert one.fingerprint != load_encoder("random:distilbert", "text").fingerprint


@torch.inference_mode()
def test_an_untrained_pooled_tower_still_tells_colours_apart() -> None:
    """A linear map from the pooled features of plain colours recovers the colours."""
    tower = load_encoder("random:resnet", "image")
    colours = torch.rand(400, 3, generator=torch.Generator().manual_seed(0))
    pixels = (colours * 255).to(torch.uint8)[:, :, None, None].expand(-1, -1, 64, 64).contiguous()

    design = torch.cat([tower(pixels)["image_features"], torch.ones(400, 1)], dim=1)
    seen, unseen = design[:300], design[300:]
    fit = torch.linalg.solve(seen.T @ seen + 1e-3 * torch.eye(65), seen.T @ colours[:300])
    error = (unseen @ fit - colours[300:]).pow(2).mean()

    assert error < 0.2 * colours.var()


@pytest.mark.parametrize("kind", ["clip", "siglip"])
@torch.inference_mode()
def test_patches_and_tokens_reach_the_shared_space_each_by_itself(kind: str) -> None:
    image, text = (load_encoder(f"random:{kind}", modality) for modality in ("image", "text"))
    pixels, (ids, mask) = _pixels(2, image.view), _padded(text, ["a dog", "a cat on the mat"])

    seen, read = image(pixels, project=True), text(ids, mask, project=True)

    assert "patch_embedding" not in image(pixels) and "token_embedding" not in text(ids, mask)
    assert seen["patch_embedding"].shape == (*seen["patch_features"].shape[:2], image.embedding_width)
    assert read["token_embedding"].shape == (*ids.shape, text.embedding_width)
    for parts in (seen["patch_embedding"], read["token_embedding"]):
        torch.testing.assert_close(parts.norm(dim=-1), torch.ones(parts.shape[:2]))
    alone = text(ids[:1, :4], mask[:1, :4], project=True)["token_embedding"]
    torch.testing.assert_close(read["token_embedding"][:1, :4], alone, atol=1e-5, rtol=1e-4)


def test_the_end_token_of_clip_is_projected_to_the_embedding_of_its_caption() -> None:
    text = load_encoder("random:clip", "text")
    ids, mask = _padded(text, ["a dog runs"])

    read = text(ids, mask, project=True)

    torch.testing.assert_close(read["token_embedding"][0, -1], read["text_embedding"][0])


@pytest.mark.parametrize("modality", ["image", "text"])
def test_a_tower_of_one_modality_has_no_space_to_project_into(modality: str) -> None:
    tower = load_encoder("random:vit" if modality == "image" else "random:bert", modality)
    given = (_pixels(1, tower.view),) if modality == "image" else _padded(tower, ["a dog"])

    with pytest.raises(ValueError, match="shares no space"):
        tower(*given, project=True)


def test_words_that_are_cut_apart_keep_their_places_and_the_tokens_are_those_of_the_caption() -> None:
    text = load_encoder("random:bert", "text")
    posts = [["Anna's", "dog", "!"], ["a"] * 400]

    ids, starts = text.tokenize_words(posts)

    assert ids == text.tokenize([" ".join(words) for words in posts])
    assert starts[0] == [1, 4, 5]
    # 32 tokens, two of which are signs
    assert starts[1] == [*range(1, 31), *[-1] * 370]
    assert text.tokenize_words([]) == ([], [])
