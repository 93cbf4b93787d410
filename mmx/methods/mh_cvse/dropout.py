"""Dropout whose random numbers cost little on a CPU.

Source: ours; the formula is that of arXiv 1207.0580, scaled in training.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

LEVELS = 2**16
DRAWS = 4
"""Draws of 16 bits in a random number of 64."""


class Dropout(nn.Module):
    """Sets a random share of values to 0 in training, and scales the others so that the mean stays.

    y = x k / (1 - share)        k = 0 with probability share, else 1

    PyTorch's own draws bit by bit on a CPU, which takes ten times as long as all the rest of it. Here
    the share is a multiple of 2^-16.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = round(share * LEVELS) / LEVELS

    def forward(self, values: Tensor) -> Tensor:
        """Any shape -> the same shape."""
        if not self.training or not self.share:
            return values
        if values.device.type != "cpu":
            return functional.dropout(values, self.share)
        count = values.numel()
        drawn = torch.empty(-(-count // DRAWS), dtype=torch.int64).random_(-(2**63), None).view(torch.int16)
        kept = drawn[:count].view(values.shape) >= round(self.share * LEVELS) - LEVELS // 2
        return values * kept * (1 / (1 - self.share))
