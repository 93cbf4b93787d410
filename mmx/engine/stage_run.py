"""One stage being trained: its parameters, optimiser, and what one step does."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, PartialState
from torch import Tensor, nn

from mmx.core.batch import Batch
from mmx.core.method import Method
from mmx.core.seed import derive_seed
from mmx.engine.averaging import WeightAverage
from mmx.engine.cut_gradients import CutGradients
from mmx.engine.optimizer import build_optimizer, rate_scale, set_rates
from mmx.engine.parameters import freeze_others
from mmx.engine.pieces import Piece
from mmx.engine.processes import Processes
from mmx.engine.stage_plan import StagePlan


def open_accelerator(device: torch.device, precision: str) -> Accelerator:
    """What places tensors on the device of this process, and computes in a precision."""
    # accelerate keeps one state a process and refuses a second precision or device; a training that is one
    # process, not one of many, begins anew.
    if not PartialState._shared_state or PartialState().num_processes == 1:
        AcceleratorState._reset_state(reset_partial_state=True)
    mixed = "bf16" if precision == "bf16" else "no"
    return Accelerator(mixed_precision=mixed, cpu=device.type == "cpu")


class StageRun:
    """A stage with everything that exists only while it is trained."""

    def __init__(
        self,
        plan: StagePlan,
        method: Method,
        model: nn.Module,
        seed: int,
        accelerator: Accelerator,
        processes: Processes,
    ) -> None:
        self.plan, self.stage, self._processes = plan, plan.stage, processes
        self._model, self._seed, self._accelerator = model, seed, accelerator
        self.parameters = {name: p for group in plan.groups for name, p in group.parameters.items()}
        self.names = {parameter: name for name, parameter in self.parameters.items()}
        self.set_modes()
        self.optimizer = build_optimizer(plan.groups, accelerator.device)
        self.average = WeightAverage(plan.stage.average, self.parameters) if plan.stage.average else None
        self._method = method
        self._cut = CutGradients(method, model, processes, accelerator.device, accelerator.autocast)

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
        self, pieces: Sequence[Piece], progress: float, stage_step: int
    ) -> tuple[dict[str, float], float]:
        """Gradients of the loss of a whole batch, of which this process has these pieces.

        Returns:
            Losses by name, and the norm of the gradient; either may be NaN or infinite.

        Raises:
            SaidElsewhere: when another process failed.
            TrainingError: when one is gone.
        """
        self.optimizer.zero_grad(set_to_none=True)
        seed = partial(self._seed_piece, stage_step)
        if self._processes.count == 1 and len(pieces) == 1:
            losses = self._compute_whole(pieces[0].batch, progress, seed)
        else:
            losses = self._cut.compute(pieces, progress, seed)
            self._processes.sum_gradients(list(self.parameters.values()))
        norm = torch.nn.utils.get_total_norm(self._gradients())
        # One read from the device a step: a NaN must be seen before it reaches the weights.
        *values, total_norm = torch.stack([*(v.float() for v in losses.values()), norm.float()]).tolist()
        return dict(zip(losses, values, strict=True)), total_norm

    def apply_gradients(self, grad_norm: float) -> bool:
        """Clip, step and average; whether the gradient was clipped."""
        limit = self.stage.clip_norm
        clipped = False
        if limit is not None and grad_norm > limit:
            torch._foreach_mul_(self._gradients(), limit / grad_norm)
            clipped = True
        self.optimizer.step()
        if self.average is not None:
            self.average.update()
        return clipped

    def _compute_whole(self, batch: Batch, progress: float, seed: Callable[[int], None]) -> dict[str, Tensor]:
        """One piece on one process: no pass that comes twice."""
        seed(0)
        with self._accelerator.autocast():
            losses = self._method.loss(self._model, batch.to(self._accelerator.device), progress)
        self._accelerator.backward(losses["total"])
        return {name: value.detach() for name, value in losses.items()}

    def _seed_piece(self, stage_step: int, piece: int) -> None:
        _seed(derive_seed(self._seed, self.stage.name, stage_step, piece), self._accelerator.device)

    def _gradients(self) -> list[Tensor]:
        return [p.grad for p in self.parameters.values() if p.grad is not None]


def _seed(seed: int, device: torch.device) -> None:
    """Seed what dropout draws from; `torch.manual_seed` sees to every kind of device, 200 times slower."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)
