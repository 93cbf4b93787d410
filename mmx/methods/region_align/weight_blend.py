"""WeightBlend: a tuned tower with its weights pulled part of the way back to those it began with.

Source: arXiv 2109.01903 (WiSE-FT).
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call


class WeightBlend(nn.Module):
    """Runs a tower with w = (1 - share) w_start + share w_tuned; no tensor of its own is kept with a run.

    Made before any weights are loaded, so that the start is that of the pretrained tower.
    """

    def __init__(self, tower: nn.Module, share: float) -> None:
        super().__init__()
        self.share = share
        self.names = [name for name, _ in tower.named_parameters()]
        for place, parameter in enumerate(tower.parameters()):
            self.register_buffer(f"start_{place}", parameter.detach().clone(), persistent=False)

    def forward(self, tower: nn.Module, *inputs: Tensor, **keywords: Any) -> dict[str, Tensor]:
        """What the tower gives for its inputs with the weights in between."""
        tuned = dict(tower.named_parameters())
        weights = {
            name: torch.lerp(start, tuned[name], self.share)
            for name, start in zip(self.names, self.buffers(), strict=True)
        }
        return functional_call(tower, weights, inputs, keywords)
