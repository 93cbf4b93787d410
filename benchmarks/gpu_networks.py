"""Encoders of full size with drawn weights, of the architectures that mmx reads, without a download."""

from collections.abc import Callable
from functools import partial

import torchvision
from torch import nn
from transformers import (
    BertConfig,
    BertModel,
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    DistilBertConfig,
    DistilBertModel,
)

from mmx.core.view import View
from mmx.encoders.batch_norm import settle_batch_norm
from mmx.encoders.image_tower import ImageTower
from mmx.encoders.load import load_encoder
from mmx.encoders.text_tower import TextTower
from mmx.encoders.timm_image import LITE0_VIEW, make_timm, read_timm
from mmx.encoders.tokenizers import HASH_PAD_ID, WordHash
from mmx.encoders.torchvision_image import VIEW, read_resnet
from mmx.encoders.transformers_image import wrap_image
from mmx.encoders.transformers_text import read_mean, wrap_text

MINILM = {
    "hidden_size": 384,
    "num_hidden_layers": 6,
    "num_attention_heads": 12,
    "intermediate_size": 1536,
}
TEXTS: dict[str, tuple[str, Callable[[], nn.Module]]] = {
    "clip-vit-b32": ("clip", lambda: CLIPTextModelWithProjection(CLIPTextConfig())),
    "distilbert": ("distilbert", lambda: DistilBertModel(DistilBertConfig())),
    "bert": ("bert", lambda: BertModel(BertConfig(), add_pooling_layer=False)),
    "minilm": ("bert", lambda: BertModel(BertConfig(**MINILM), add_pooling_layer=False)),
}


def drawn_network(name: str, modality: str) -> ImageTower | TextTower:
    """An encoder by its name in mmx, with drawn weights; those named `random:` are mmx's own tiny ones."""
    if name.startswith("random:"):
        return load_encoder(name, modality)
    drawn = f"drawn {name}"
    if name == "clip-vit-b32" and modality == "image":
        network = CLIPVisionModelWithProjection(CLIPVisionConfig(patch_size=32))
        return wrap_image(drawn, "clip", network, View(224, 224, "crop", "bicubic"))
    if modality == "image":
        lite0 = name == "efficientnet-lite0"
        read, view = (read_timm, LITE0_VIEW) if lite0 else (read_resnet, VIEW)
        network = make_timm("tf_efficientnet_lite0") if lite0 else torchvision.models.get_model(name)
        width = 1280 if lite0 else network.fc.in_features
        if lite0:
            network.reset_classifier(0)
        else:
            network.fc = nn.Identity()
        settle_batch_norm(network, partial(read, network))  # else numbers grow from block to block
        return ImageTower(drawn, network, read, view, width)
    kind, make = TEXTS[name]
    network = make()
    words = WordHash(network.config.vocab_size, min(network.config.max_position_embeddings, 256))
    pooled = read_mean if name == "minilm" else None
    return wrap_text(drawn, kind, network, words, HASH_PAD_ID, pooled)
