"""The parts of a network from its input to its output, so that only the last few can be trained."""

import re

from torch import nn

LAYER = re.compile(
    r"network\.(?:layer\d\.\d+|blocks\.\d+\.\d+|(?:\w+\.)*?stages\.\d+\.layers\.\d+|(?:\w+\.)*?layers?\.\d+)(?=\.)"
)
"""A repeated layer, as torchvision, timm and transformers name theirs."""


def blocks_of(tower: nn.Module) -> list[list[str]]:
    """Prefixes of parameter names, one list a block, from input to output.

    What comes before the first layer is the first block; what comes after the last layer belongs to the last
    block.
    """
    stem: list[str] = []
    layers: dict[str, list[str]] = {}
    for name, _ in tower.named_parameters():
        found = LAYER.match(name)
        if found:
            layers.setdefault(found.group(), [found.group() + "."])
            continue
        module = name.rpartition(".")[0]
        prefix = name if module == "network" else f"{module}."
        group = layers[next(reversed(layers))] if layers else stem
        if prefix not in group:
            group.append(prefix)
    return [stem, *layers.values()] if stem else list(layers.values())
