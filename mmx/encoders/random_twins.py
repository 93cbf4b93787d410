"""Tiny random twins of the encoders: the same architecture and face, no download, no meaning learnt.

Weights are drawn from a fixed seed. BatchNorm is measured once on drawn blots of colour, so that the pooled
output of an untrained network tells pictures apart.
"""

import torch
from transformers import (
    BertConfig,
    CLIPTextConfig,
    CLIPVisionConfig,
    DistilBertConfig,
    ResNetConfig,
    RobertaConfig,
    SiglipTextConfig,
    SiglipVisionConfig,
    ViTConfig,
)

from mmx.core.seed import derive_seed
from mmx.core.view import View
from mmx.encoders import transformers_image, transformers_text
from mmx.encoders.batch_norm import settle_batch_norm
from mmx.encoders.image_tower import ImageTower
from mmx.encoders.text_tower import TextTower
from mmx.encoders.tokenizers import HASH_PAD_ID, WordHash

WORDS, LIMIT = 2048, 32
LAYERS = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
PICTURE = {"image_size": 64, "patch_size": 16, **LAYERS}
WRITING = {"vocab_size": WORDS, "max_position_embeddings": LIMIT, **LAYERS}
ENDS = {"bos_token_id": 1, "eos_token_id": WORDS - 1, "pad_token_id": HASH_PAD_ID}
IMAGE_CONFIGS = {
    "resnet": ResNetConfig(
        embedding_size=16, hidden_sizes=[16, 32, 48, 64], depths=[1, 1, 1, 1], layer_type="basic"
    ),
    "vit": ViTConfig(**PICTURE),
    "clip": CLIPVisionConfig(**PICTURE, projection_dim=32),
    "siglip": SiglipVisionConfig(**PICTURE),
}
TEXT_CONFIGS = {
    "bert": BertConfig(**WRITING),
    "distilbert": DistilBertConfig(
        vocab_size=WORDS, max_position_embeddings=LIMIT, dim=64, n_layers=2, n_heads=4, hidden_dim=128
    ),
    "roberta": RobertaConfig(**{**WRITING, "max_position_embeddings": LIMIT + 2}, pad_token_id=HASH_PAD_ID),
    "clip": CLIPTextConfig(**WRITING, **ENDS, projection_dim=32),
    "siglip": SiglipTextConfig(**WRITING, **ENDS, projection_size=64),
}
VIEW = View(64, 64, "squash", "bilinear")


def random_image(kind: str) -> ImageTower:
    """The tiny image tower of an architecture, under the name `random:<kind>`."""
    name = f"random:{kind}"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(name))
        family = transformers_image.FAMILIES[kind]
        network = family.model(IMAGE_CONFIGS[kind], **dict(family.keywords))
    settle_batch_norm(network, lambda pixels: family.read(network, pixels))
    return transformers_image.wrap_image(name, kind, network, VIEW)


def random_text(kind: str) -> TextTower:
    """The tiny text tower of an architecture, under the name `random:<kind>`; it numbers words by their
    hash.
    """
    name = f"random:{kind}"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(name))
        family = transformers_text.FAMILIES[kind]
        network = family.model(TEXT_CONFIGS[kind], **dict(family.keywords))
    return transformers_text.wrap_text(name, kind, network, WordHash(WORDS, LIMIT), HASH_PAD_ID)
