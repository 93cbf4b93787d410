"""The optimiser of a stage, and how its rates change with the steps."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from mmx.core.method import Schedule
from mmx.engine.parameters import TrainedGroup

FUSED = {"cuda", "cpu"}
"""Devices whose AdamW is one kernel for all parameters."""


def build_optimizer(groups: Sequence[TrainedGroup], device: torch.device) -> torch.optim.AdamW:
    """AdamW with the rate and decay of each group; biases, norms and scalars are never decayed."""
    parts: dict[tuple, dict] = {}
    for trained in groups:
        group = trained.group
        for name, parameter in trained.parameters.items():
            full_lr = group.lr * trained.shares[name]
            decay = group.weight_decay if parameter.ndim > 1 else 0.0
            part = {
                "params": [],
                "name": group.name,
                "lr": full_lr,
                "full_lr": full_lr,
                "weight_decay": decay,
            }
            parts.setdefault((group.name, full_lr, decay), part)["params"].append(parameter)
    return torch.optim.AdamW(list(parts.values()), fused=device.type in FUSED)


def set_rates(optimizer: torch.optim.Optimizer, scale: float) -> None:
    """Give every parameter its full rate times `scale`."""
    for part in optimizer.param_groups:
        part["lr"] = part["full_lr"] * scale


@dataclass
class Plateau:
    """What the plateau schedule remembers between epochs."""

    scale: float = 1.0
    best: float | None = None
    stalled: int = 0

    def update(self, metric: float, schedule: Schedule) -> None:
        """Count an epoch: when more than `patience` in a row were no better, lower the rates."""
        if self.best is None or metric > self.best:
            self.best, self.stalled = metric, 0
            return
        self.stalled += 1
        if schedule.kind == "plateau" and self.stalled > schedule.patience:
            self.scale, self.stalled = self.scale * schedule.factor, 0


def rate_scale(schedule: Schedule, step: int, steps: int, plateau_scale: float = 1.0) -> float:
    """The share of the full rate at a step (from 0) of a stage of `steps`.

    The warm-up rises in a line, 1/w at the first of its w steps and 1 at the last. After it,

        cosine(t) = floor + (1 - floor) (1 + cos(pi t)) / 2    t = 0 after the warm-up, 1 at the end
        linear(t) = floor + (1 - floor) (1 - t)

    Raises:
        ValueError: for a schedule of another kind.
    """
    warm = round(schedule.warmup * steps)
    if step < warm:
        return (step + 1) / warm
    if schedule.kind == "constant":
        return 1.0
    if schedule.kind == "plateau":
        return plateau_scale
    if schedule.kind == "cosine":
        way = (step - warm) / max(steps - warm, 1)
        return schedule.floor + (1 - schedule.floor) * (1 + math.cos(math.pi * way)) / 2
    if schedule.kind == "linear":
        way = (step - warm) / max(steps - warm, 1)
        return schedule.floor + (1 - schedule.floor) * (1 - way)
    raise ValueError(f"there is no schedule '{schedule.kind}'. There are: constant, cosine, linear, plateau.")
