"""One stage being trained: its parameters, optimiser, order of batches, and what one step does."""

import math
from collections.abc import Callable, Sequence, Set
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from mmx.core.batch import Batch
from mmx.core.method import Stage
from mmx.core.seed import derive_seed
from mmx.engine.averaging import WeightAverage
from mmx.engine.loader import TrainingOrder
from mmx.engine.optimizer import build_optimizer, rate_scale, set_rates
from mmx.engine.parameters import TrainedGroup, find_groups, freeze_others
from mmx.engine.split_data import SplitData

Loss = Callable[[nn.Module, Batch, float], dict[str, Tensor]]


class Objective(nn.Module):
    """A model with its loss: the one forward call that mixed precision and data parallelism wrap."""

    def __init__(self, model: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.model = model
        self._loss = loss

    def forward(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        """A batch and the progress 0..1 -> `total` and its parts, in nats."""
        return self._loss(self.model, batch, progress)


@dataclass(frozen=True)
class StagePlan:
    """What is known of a stage before it begins: its parameters, the order of its batches, its steps."""

    stage: Stage
    groups: Sequence[TrainedGroup]
    order: TrainingOrder
    steps: int


def plan_stage(stage: Stage, model: nn.Module, fixed: Set[str], data: SplitData, seed: int) -> StagePlan:
    """Lay out a stage.

    Raises:
        ValueError: when a group of the stage fits no parameter, or its schedule is of no known kind.
        UsageError: for a batch size below two.
        DataError: when there are not two images to compare.
    """
    groups = find_groups(model, stage, fixed)
    order = TrainingOrder(data, stage, seed)
    steps = stage.epochs * math.ceil(order.batches / stage.accumulate)
    rate_scale(stage.schedule, 0, steps)
    return StagePlan(stage, groups, order, steps)


class StageRun:
    """A stage with everything that exists only while it is trained."""

    def __init__(
        self, plan: StagePlan, model: nn.Module, loss: Loss, seed: int, accelerator: Accelerator
    ) -> None:
        self.plan, self.stage = plan, plan.stage
        self._model, self._seed, self._accelerator = model, seed, accelerator
        self.parameters = {name: p for group in plan.groups for name, p in group.parameters.items()}
        self.names = {parameter: name for name, parameter in self.parameters.items()}
        self.set_modes()
        self.optimizer = build_optimizer(plan.groups, accelerator.device)
        self.average = WeightAverage(plan.stage.average, self.parameters) if plan.stage.average else None
        self._objective = accelerator.prepare_model(Objective(model, loss))

    def set_modes(self) -> None:
        """Put the trained parts of the model into training mode, and the others into that of evaluation."""
        freeze_others(self._model, self.plan.groups)

    def set_rates(self, stage_step: int, plateau_scale: float) -> None:
        """The rates of a step (from 0) into the optimiser."""
        set_rates(self.optimizer, rate_scale(self.stage.schedule, stage_step, self.plan.steps, plateau_scale))

    def rates(self) -> dict[str, float]:
        """The highest rate of each group by name, as last set."""
        parts = self.optimizer.param_groups
        return {part["name"]: max(p["lr"] for p in parts if p["name"] == part["name"]) for part in parts}

    def compute_gradients(
        self, batches: Sequence[Batch], progress: float, stage_step: int
    ) -> tuple[dict[str, float], float]:
        """Gradients of the mean loss over the images of all batches.

        Returns:
            Mean losses by name, and the norm of the gradient; either may be NaN or infinite.
        """
        self.optimizer.zero_grad(set_to_none=True)
        images = sum(len(batch.image_group) for batch in batches)
        means: dict[str, Tensor] = {}
        for place, batch in enumerate(batches):
            _seed(derive_seed(self._seed, self.stage.name, stage_step, place), self._accelerator.device)
            share = len(batch.image_group) / images
            last = place == len(batches) - 1
            with nullcontext() if last else self._accelerator.no_sync(self._objective):
                losses = self._objective(batch.to(self._accelerator.device), progress)
                self._accelerator.backward(losses["total"] * share)
            for name, value in losses.items():
                means[name] = means.get(name, 0.0) + value.detach().float() * share
        norm = torch.nn.utils.get_total_norm(self._gradients())
        # One read from the device a step: a NaN must be seen before it reaches the weights.
        *values, total_norm = torch.stack([*means.values(), norm.float()]).tolist()
        return dict(zip(means, values, strict=True)), total_norm

    def apply_gradients(self, grad_norm: float) -> bool:
        """Clip, step and average; whether the gradient was clipped."""
        limit = self.stage.clip_norm
        clipped = limit is not None and grad_norm > limit
        if clipped:
            torch._foreach_mul_(self._gradients(), limit / grad_norm)
        self.optimizer.step()
        if self.average is not None:
            self.average.update()
        return clipped

    def _gradients(self) -> list[Tensor]:
        return [p.grad for p in self.parameters.values() if p.grad is not None]


def _seed(seed: int, device: torch.device) -> None:
    """Seed what dropout draws from; `torch.manual_seed` sees to every kind of device, 200 times slower."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)
