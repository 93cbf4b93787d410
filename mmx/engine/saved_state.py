"""What training needs to go on, on disk: position, weights, optimiser and average; the same for any number of
processes.
"""

from collections.abc import Callable

from torch import nn

from mmx.core.errors import ArtifactError
from mmx.engine.position import Position
from mmx.engine.processes import Processes
from mmx.engine.stage_run import StageRun
from mmx.store.checkpoint import check_fit, load_optimizer, load_weights, optimizer_tensors, read_weights
from mmx.store.run import RunFolder


def save_state(run: RunFolder, position: Position, model: nn.Module, stage: StageRun | None) -> None:
    """Everything needed to go on; between stages the weights alone.

    Raises:
        ResourceError: when the disk is full; the state before it stays as it was.
    """
    tensors = {"weights": model.state_dict()}
    if stage is not None:
        tensors["optimizer"] = optimizer_tensors(stage.optimizer, stage.names)
        if stage.average:
            tensors["average"] = stage.average.tensors
    run.save_state(position.as_json(), tensors)


def load_state(
    run: RunFolder,
    model: nn.Module,
    open_stage: Callable[[Position], StageRun],
    processes: Processes,
) -> tuple[Position, StageRun | None] | None:
    """Where training was, and the stage that was under way, if any; None when nothing was saved.

    Raises:
        ArtifactError: when the state is broken, or is not the same for all processes.
    """
    found = run.load_state()
    values = None if found is None else found[0]
    if processes.exchange(values)[0] != values:
        raise ArtifactError(
            f"'{run.path}' holds another state on this machine than on the first one. Give all processes one "
            "home that they share."
        )
    if found is None:
        return None
    values, folder = found
    position = Position.from_json(values)
    if processes.first:
        run.cut_log(values["log_bytes"])
    load_weights(folder / "weights.safetensors", model)
    if position.stage_step == 0:
        return position, None
    stage = open_stage(position)
    load_optimizer(folder / "optimizer.safetensors", stage.optimizer, stage.names)
    if stage.average:
        tensors = read_weights(folder / "average.safetensors")
        check_fit(folder / "average.safetensors", tensors, stage.average.tensors)
        stage.average.load(tensors, position.stage_step)
    return position, stage
