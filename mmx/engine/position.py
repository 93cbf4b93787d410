"""Where training is: everything that is needed to go on besides tensors, as plain numbers."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mmx.engine.optimizer import Plateau


@dataclass
class Window:
    """What happened since the last line of the log: sums over steps."""

    steps: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    grad_norm: float = 0.0
    clipped: int = 0

    def add(self, losses: Mapping[str, float], grad_norm: float, clipped: bool) -> None:
        """Count one step."""
        self.steps += 1
        for name, value in losses.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.grad_norm += grad_norm
        self.clipped += clipped

    def means(self) -> dict[str, Any]:
        """Mean loss and its parts, mean norm of the gradient, share of steps whose gradient was clipped."""
        return {
            "loss": {name: value / self.steps for name, value in self.sums.items()},
            "grad_norm": self.grad_norm / self.steps,
            "clip_share": self.clipped / self.steps,
        }


@dataclass
class Best:
    """The kept weights: where they were reached, and what they reach on val."""

    stage: str
    epoch: int
    step: int
    metrics: dict[str, float]


@dataclass
class Position:
    """Batch `batch` of epoch `epoch` of stage `stage` comes next; `step` steps are done in all."""

    stage: int = 0
    epoch: int = 1
    batch: int = 0
    step: int = 0
    stage_step: int = 0
    seconds: float = 0.0
    last_finite_loss: float | None = None
    best: Best | None = None
    plateau: Plateau = field(default_factory=Plateau)
    window: Window = field(default_factory=Window)

    def as_json(self) -> dict[str, Any]:
        """The position as plain values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Position":
        """The position that `as_json` gave."""
        plain = {field.name: values[field.name] for field in dataclasses.fields(cls)}
        best = plain.pop("best")
        return cls(
            **{**plain, "plateau": Plateau(**plain["plateau"]), "window": Window(**plain["window"])},
            best=Best(**best) if best else None,
        )
