"""What a training is told besides its method and data, and what it gives."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

CPU = torch.device("cpu")

Validate = Callable[[nn.Module], dict[str, float]]
"""The model, in evaluation mode -> its metrics on val."""


@dataclass(frozen=True)
class TrainOptions:
    """How to train, as far as the method does not say."""

    seed: int = 0
    device: torch.device = CPU
    precision: str = "fp32"
    metric: str | None = None
    """What weights are selected by on val; None for the task's own metric."""
    workers: int | None = None
    """Processes that decode pictures; None takes the cores less one."""
    chunk: int | None = None
    """Images of a batch that are held at a time with what their gradient needs; None holds all of them."""
    log_every: int = 10
    """Steps between two lines of the log."""
    save_steps: int | None = None
    """Steps between two saved states, besides the one after each epoch."""
    save_seconds: float = 600.0


@dataclass(frozen=True)
class TrainResult:
    """What a training gave: where the weights are, when they were best, and what they reach on val."""

    run: Path
    stage: str
    epoch: int
    step: int
    metrics: dict[str, float]
    steps: int
    seconds: float
