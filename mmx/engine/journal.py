"""What a training writes down for people: its log, the metrics of the kept weights, and how it diverged."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmx.core.errors import TrainingError
from mmx.core.present import present
from mmx.core.record import Record
from mmx.engine.position import Position
from mmx.engine.training_order import BatchPlan
from mmx.store.atomic import write_json
from mmx.store.run import RunFolder


def step_line(
    stage: str,
    position: Position,
    rates: Mapping[str, float],
    gauges: Mapping[str, float],
    seconds: float,
) -> dict[str, Any]:
    """A line of the log about the steps since the one before it."""
    return {
        **_when("step", stage, position),
        **position.window.means(),
        "lr": dict(rates),
        **({"gauge": dict(gauges)} if gauges else {}),
        "seconds": round(seconds, 3),
    }


def epoch_line(
    stage: str,
    position: Position,
    metrics: Mapping[str, float],
    best: bool,
    seconds: float,
    val_seconds: float,
) -> dict[str, Any]:
    """A line of the log about an epoch: its metrics on val, and whether its weights are kept."""
    return {
        **_when("epoch", stage, position),
        "val": dict(metrics),
        "best": best,
        "seconds": round(seconds, 3),
        "val_seconds": round(val_seconds, 3),
    }


def _when(kind: str, stage: str, position: Position) -> dict[str, Any]:
    return {"kind": kind, "stage": stage, "epoch": position.epoch, "step": position.step}


def kept_metrics(position: Position, primary_metric: str) -> dict[str, Any]:
    """What metrics.json says of the kept weights."""
    best = present(position.best)
    return {
        "format": "mmx.metrics",
        "version": 1,
        "stage": best.stage,
        "epoch": best.epoch,
        "step": best.step,
        "primary_metric": primary_metric,
        "val": best.metrics,
    }


def report_divergence(
    run: RunFolder | None,
    stage: str,
    position: Position,
    found: tuple[str, float],
    plan: BatchPlan,
    records: Sequence[Record],
) -> TrainingError:
    """Write down the batch at which the loss or its gradient stopped being a number, where this process has
    the run; the error to raise.
    """
    what, value = found
    step = position.step + 1
    last = "none" if position.last_finite_loss is None else f"{position.last_finite_loss:.4g}"
    said = f"the {what} became {value} at step {step} (epoch {position.epoch}). Last finite loss {last}"
    if run is None:
        return TrainingError(f"{said}.")
    path = run.path / "diverged.json"
    report = {
        "what": what,
        "value": str(value),
        "stage": stage,
        "epoch": position.epoch,
        "step": step,
        "last_finite_loss": position.last_finite_loss,
        "records": [records[row].id for row in plan.rows.tolist()],
        "captions": plan.captions.tolist(),
    }
    write_json(path, report)
    return TrainingError(
        f"{said}; the batch is named in '{path}' and the last good weights are kept. Try a smaller --lr."
    )
