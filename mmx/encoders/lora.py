"""LoRA: small learned updates of the attention layers of a pretrained tower, by the library peft.

Source: arXiv 2106.09685.
"""

import re

import torch
from torch import nn

from mmx.core.errors import MissingExtraError, UsageError
from mmx.core.seed import derive_seed
from mmx.core.tower import Lora

try:
    from peft import LoraConfig, inject_adapter_in_model
except ImportError:
    LoraConfig = inject_adapter_in_model = None

INSTALL = 'pip install "mmx[lora]"'
ATTENTION = re.compile(
    r"(?:\w+\.)*layers?\.\d+\.(?:\w+\.)*"
    r"(?:[qkvo]_proj|out_proj|[qkv]_lin|out_lin|query|key|value|attention\.output\.dense)"
)
"""Queries, keys, values and output of a repeated layer, as transformers names them."""


def add_lora(encoder: nn.Module, lora: Lora) -> nn.Module:
    """The encoder with updates that are learned in place of its own weights; at first they change nothing.

    Changes the encoder in place; its fingerprint stays that of the weights it came with.

    Raises:
        MissingExtraError: when peft is not installed.
        UsageError: when the encoder has no attention layers.
    """
    if inject_adapter_in_model is None:
        raise MissingExtraError(f"LoRA needs peft, which is not installed. Install it: {INSTALL}")
    names = attention_layers(encoder)
    if not names:
        raise UsageError(
            f"'{encoder.name}' has no attention layers, so LoRA has nothing to update. "
            "Tune its own weights, or name an encoder that is a transformer."
        )
    config = LoraConfig(r=lora.rank, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules=names)
    with torch.random.fork_rng(devices=[]):
        # drawn alike whatever was drawn before, so that a seed gives one training
        torch.manual_seed(derive_seed("lora", encoder.name))
        inject_adapter_in_model(config, encoder)
    return encoder


def attention_layers(encoder: nn.Module) -> list[str]:
    """Names of the linear maps of queries, keys, values and outputs in an encoder's repeated layers."""
    return [
        name
        for name, module in encoder.named_modules()
        if isinstance(module, nn.Linear) and ATTENTION.fullmatch(name)
    ]
