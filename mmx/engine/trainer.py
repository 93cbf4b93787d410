"""The only training loop: stages, epochs and steps of whatever a method declares, able to stop anywhere.

Nothing random outlives a step (each is seeded by seed, stage and number), so that a state on disk is weights,
optimiser, average and a few numbers; going on from it gives the same bits on a CPU as never having stopped.
Of several processes all compute and decide the same; the first one alone measures, writes and speaks.
"""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from mmx.core.errors import Interrupted, ResourceError, TrainingError
from mmx.core.method import Method
from mmx.core.present import present
from mmx.core.reporter import Progress, Reporter
from mmx.engine.journal import epoch_line, kept_metrics, report_divergence, step_line
from mmx.engine.loader import Pieces, read_ahead
from mmx.engine.parameters import fixed_names
from mmx.engine.position import Best, Position, Window
from mmx.engine.processes import SINGLE, Processes
from mmx.engine.saved_state import load_state, save_state
from mmx.engine.split_data import SplitData
from mmx.engine.stage_plan import StagePlan, plan_stages
from mmx.engine.stage_run import StageRun, open_accelerator
from mmx.engine.stopping import StopRequest, stop_requests
from mmx.engine.train_options import TrainOptions, TrainResult, Validate
from mmx.store.run import RunFolder


def train(
    method: Method,
    settings: Any,
    model: nn.Module,
    data: SplitData,
    run: RunFolder,
    options: TrainOptions,
    validate: Validate,
    reporter: Reporter,
    processes: Processes = SINGLE,
) -> TrainResult:
    """Train a model, from the run's last state where it has one.

    The weights that are best on val are kept; where a stage averages weights, the average is what is measured
    and kept, and what the next stage begins with, unless that begins with the best.

    Raises:
        TrainingError: when the loss or its gradient is no longer a number.
        Interrupted: after a signal to stop; the state is saved.
        ArtifactError: when another process trains this run, or its state is broken.
        ResourceError: when disk or memory run out.
        SaidElsewhere: when another process failed with one of these.
    """
    fixed = fixed_names(model)
    plans = plan_stages(method, settings, model, data, options.seed, options.chunk, processes)
    with ExitStack() as held:
        if processes.first:
            held.enter_context(run.locked())
        stop = held.enter_context(stop_requests())
        training = _Training(method, plans, model, data, run, options, validate, reporter, processes, stop)
        try:
            return training.run_all()
        except (torch.OutOfMemoryError, MemoryError) as error:
            step = training.position.step + 1
            raise ResourceError(f"memory ran out at step {step}. Try a smaller --batch-size.") from error
        finally:
            for name, parameter in model.named_parameters():
                parameter.requires_grad_(name not in fixed)


@dataclass
class _Training:
    """One training under way."""

    method: Method
    plans: Sequence[StagePlan]
    model: nn.Module
    data: SplitData
    run: RunFolder
    options: TrainOptions
    validate: Validate
    reporter: Reporter
    processes: Processes
    stop: StopRequest
    position: Position = field(default_factory=Position)

    def __post_init__(self) -> None:
        self.accelerator = open_accelerator(self.options.device, self.options.precision)
        self.model.to(self.accelerator.device)
        self.metric_name = self.options.metric or self.method.tasks[0].primary_metric
        self.steps = sum(plan.steps for plan in self.plans)
        self.clock = self.saved = time.monotonic()

    def run_all(self) -> TrainResult:
        """Train every stage that is left."""
        opened = self._restore()
        with self.reporter.progress("train", self.steps, "steps", done=self.position.step) as bar:
            while self.position.stage < len(self.plans):
                self._run_stage(opened or self._open_stage(self.position), bar)
                opened = None
        best, position = present(self.position.best), self.position
        return TrainResult(
            self.run.path, best.stage, best.epoch, best.step, best.metrics, position.step, position.seconds
        )

    def _run_stage(self, stage: StageRun, bar: Progress) -> None:
        position, plan = self.position, stage.plan
        places = plan.order.places((position.epoch, position.batch), plan.stage.epochs)
        reading = (self.data, plan.order, places, self.options.workers, plan.cut)
        with closing(read_ahead(*reading, pin=self.accelerator.device.type == "cuda")) as batches:
            for _ in range(position.epoch, plan.stage.epochs + 1):
                while position.batch < plan.order.batches:
                    self._run_step(stage, batches)
                    bar.advance()
                    if position.step % self.options.log_every == 0:
                        self._log_window(stage, bar)
                    self._save_when_due(stage)
                self._finish_epoch(stage, bar)

    def _run_step(self, stage: StageRun, batches: Iterator[Pieces]) -> None:
        """One step of the optimiser, over one batch."""
        position = self.position
        pieces = next(batches)
        stage.set_rates(position.stage_step, position.plateau.scale)
        losses, norm = stage.compute_gradients(pieces, position.step / self.steps, position.stage_step)
        if not (math.isfinite(losses["total"]) and math.isfinite(norm)):
            found = ("gradient", norm) if math.isfinite(losses["total"]) else ("loss", losses["total"])
            plan, name = stage.plan.order.epoch(position.epoch)[position.batch], stage.stage.name
            run = self.run if self.processes.first else None
            raise report_divergence(run, name, position, found, plan, self.data.records)
        clipped = stage.apply_gradients(norm)
        position.window.add(losses, norm, clipped)
        position.last_finite_loss = losses["total"]
        position.batch += 1
        position.step += 1
        position.stage_step += 1

    def _finish_epoch(self, stage: StageRun, bar: Progress) -> None:
        """Measure on val, keep the weights where they are the best so far, and move on to the next epoch."""
        position, begun = self.position, time.monotonic()
        if position.epoch == stage.stage.epochs and position.window.steps:
            # A line of the log never spans two stages; rates are not part of a state that was gone on from.
            stage.set_rates(position.stage_step - 1, position.plateau.scale)
            self._log_window(stage, bar)
        with stage.average.in_model() if stage.average else nullcontext():
            metrics = self._measure()
            metric = metrics[self.metric_name]
            best = position.best is None or metric > position.best.metrics[self.metric_name]
            if best:
                position.best = Best(stage.stage.name, position.epoch, position.step, metrics)
                with self.processes.alone() as mine:
                    if mine:
                        kept = kept_metrics(position, self.metric_name)
                        self.run.write_weights(self.model.state_dict(), kept)
        stage.set_modes()
        position.plateau.update(metric, stage.stage.schedule)
        self._log_epoch(stage, metrics, best, time.monotonic() - begun)
        bar.note(f"epoch {position.epoch} val {self.metric_name} {metric:.2f}")
        if position.epoch == stage.stage.epochs:
            self._close_stage(stage)
            self._save(None)
        else:
            position.epoch, position.batch = position.epoch + 1, 0
            self._save(stage)
        self._stop_when(self.processes.any(self.stop.asked))

    def _measure(self) -> dict[str, float]:
        """What the first process measures; the others wait for it."""
        self.model.eval()
        with self.processes.alone() as mine:
            measured = self.validate(self.model) if mine else None
        metrics = self.processes.exchange(measured)[0]
        value = metrics[self.metric_name]
        if not math.isfinite(value):
            step = self.position.step
            raise TrainingError(f"val {self.metric_name} is {value} after step {step}. Try a smaller --lr.")
        return metrics

    def _close_stage(self, stage: StageRun) -> None:
        """The average, or the best weights so far, become what the next stage begins with."""
        if stage.average:
            stage.average.copy_to_model()
        position = self.position
        following = self.plans[position.stage + 1 : position.stage + 2]
        if any(plan.stage.from_best for plan in following):
            self.run.load_weights(self.model)
        self.position = Position(
            stage=position.stage + 1,
            step=position.step,
            seconds=position.seconds,
            last_finite_loss=position.last_finite_loss,
            best=position.best,
        )

    def _open_stage(self, position: Position) -> StageRun:
        plan, seed = self.plans[position.stage], self.options.seed
        return StageRun(plan, self.method, self.model, seed, self.accelerator, self.processes)

    def _restore(self) -> StageRun | None:
        """Go on from the run's last state, or write the first; the stage that was under way, if any."""
        found = load_state(self.run, self.model, self._open_stage, self.processes)
        # from one machine to the next, what a method builds may differ in its last bits
        self.processes.spread([*self.model.parameters(), *self.model.buffers()])
        if found is None:
            self._save(None)
            return None
        self.position, stage = found
        return stage

    def _save_when_due(self, stage: StageRun) -> None:
        every, position = self.options.save_steps, self.position
        counted = every is not None and position.step % every == 0
        timed = time.monotonic() - self.saved > self.options.save_seconds
        # clocks differ, and all must save at the same step: the first process's clock tells
        said = self.processes.exchange([self.stop.asked, timed])
        asked = any(stopped for stopped, _ in said)
        if counted or said[0][1] or asked:
            self._save(stage)
        self._stop_when(asked)

    def _save(self, stage: StageRun | None) -> None:
        self._take_time()
        with self.processes.alone() as mine:
            if mine:
                save_state(self.run, self.position, self.model, stage)
        self.saved = time.monotonic()

    def _stop_when(self, asked: bool) -> None:
        if asked and self.position.stage < len(self.plans):
            raise Interrupted(
                f"stopped after step {self.position.step} of {self.steps}; everything is saved. "
                f"Go on with: mmx train --resume {self.run.path}"
            )

    def _log_window(self, stage: StageRun, bar: Progress) -> None:
        position = self.position
        gauges = {} if self.method.gauges is None else self.method.gauges(self.model)
        line = step_line(stage.stage.name, position, stage.rates(), gauges, self._take_time())
        if self.processes.first:
            self.run.append_log(line)
        position.window = Window()
        bar.note(f"epoch {position.epoch} loss {line['loss']['total']:.4f}")

    def _log_epoch(self, stage: StageRun, metrics: dict[str, float], best: bool, val_seconds: float) -> None:
        position, name = self.position, stage.stage.name
        line = epoch_line(name, position, metrics, best, self._take_time(), val_seconds)
        if self.processes.first:
            self.run.append_log(line)
        self.reporter.info(
            f"{name} epoch {position.epoch}/{stage.stage.epochs}: loss {position.last_finite_loss:.4f}, "
            f"val {self.metric_name} {metrics[self.metric_name]:.2f}{' (best)' if best else ''}"
        )

    def _take_time(self) -> float:
        """Seconds of training in all, those of earlier processes included."""
        now = time.monotonic()
        self.position.seconds += now - self.clock
        self.clock = now
        return self.position.seconds
