"""What is known of the stages of a training before it begins."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from mmx.core.errors import UsageError
from mmx.core.method import Method, Stage
from mmx.engine.optimizer import rate_scale
from mmx.engine.parameters import TrainedGroup, find_groups, fixed_names
from mmx.engine.pieces import Cut, cut_batches
from mmx.engine.processes import SINGLE, Processes
from mmx.engine.split_data import SplitData
from mmx.engine.training_order import TrainingOrder


@dataclass(frozen=True)
class StagePlan:
    """A stage before it begins: its parameters, the order of its batches, its steps."""

    stage: Stage
    groups: Sequence[TrainedGroup]
    order: TrainingOrder
    cut: Cut
    """How its batches are cut in pieces."""
    steps: int


def plan_stages(
    method: Method,
    settings: Any,
    model: nn.Module,
    data: SplitData,
    seed: int,
    chunk: int | None = None,
    processes: Processes = SINGLE,
) -> list[StagePlan]:
    """Lay out the stages that have an epoch; nothing is changed or written.

    Raises:
        UsageError: when there is none, one asks for what the model or the data cannot give, or its batches
            cannot be cut as is asked.
        DataError: when there are not two images to compare.
        ValueError: when a group of a stage fits no parameter, or a schedule is of no known kind.
    """
    stages = [stage for stage in method.stages(settings) if stage.epochs > 0]
    if not stages:
        raise UsageError("there is nothing to train: no stage has an epoch. Try --epochs 1.")
    plans, fixed = [], fixed_names(model)
    for stage in stages:
        groups = find_groups(model, stage, fixed)
        order = TrainingOrder(data, stage, seed)
        cut = cut_batches(stage.batch_size, chunk, processes.rank, processes.count)
        _check_cut(method, settings, cut)
        steps = stage.epochs * order.batches
        rate_scale(stage.schedule, 0, steps)
        plans.append(StagePlan(stage, groups, order, cut, steps))
    return plans


def _check_cut(method: Method, settings: Any, cut: Cut) -> None:
    said = method.uncut(settings) if method.uncut is not None and cut.count > 1 else None
    if said is not None:
        raise UsageError(
            f"{said} measures every batch as a whole, and --chunk or several processes cut it. Choose "
            "another value of it, or train in one process without --chunk."
        )
