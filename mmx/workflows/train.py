"""Train a method on a prepared corpus, or go on with a training that was stopped."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from mmx.core.classifier import Classifier
from mmx.core.device import find_device
from mmx.core.errors import UsageError
from mmx.core.home import Home
from mmx.core.launch import is_lonely
from mmx.core.names import canonical
from mmx.core.present import present
from mmx.core.record import have_identities
from mmx.core.reporter import Reporter, SilentReporter
from mmx.core.seed import derive_seed
from mmx.core.task import Retrieval
from mmx.engine.processes import Processes, opened
from mmx.engine.stage_plan import plan_stages
from mmx.engine.train_options import TrainOptions, TrainResult
from mmx.engine.trainer import train as train_model
from mmx.reports.curves import draw_curves
from mmx.store.atomic import check_makeable, check_writable
from mmx.store.run import RunFolder, check_free, find_run
from mmx.tasks import person_search
from mmx.workflows.as_recorded import check_same, check_same_assets, start_of
from mmx.workflows.assemble import Assembly, assemble
from mmx.workflows.circumstances import note_resumed
from mmx.workflows.method_settings import ResolvedMethod, resolve_method
from mmx.workflows.opened_run import method_of
from mmx.workflows.small_val import said_of_small_val
from mmx.workflows.train_classifier import train_classifier
from mmx.workflows.train_settings import TrainSettings, read_options
from mmx.workflows.validation import validation_of

CURVES = "curves.png"
__all__ = ["TrainResult", "train"]


def train(settings: TrainSettings, reporter: Reporter) -> TrainResult:
    """Train, and keep the weights that are best on val; with others where several processes were launched.

    Raises:
        UsageError: when the words do not fit together.
        ArtifactError: when the corpus, weights or the run to go on with are missing or do not fit.
        DataError: when val has nothing to be measured on.
        ResourceError: when the run's folder cannot be written; found before any work.
        TrainingError, Interrupted: see `engine.trainer.train`.
        SaidElsewhere: when another process failed with one of these.
    """
    if is_lonely():
        reporter.warn(
            "accelerate starts one process on a CPU unless it is given --mpirun_hostfile. For several: "
            "torchrun --nproc-per-node 2 -m mmx train ..."
        )
    with opened(find_device(settings.device)) as processes:
        return _train_new_or_old(settings, processes, reporter if processes.first else SilentReporter())


def _train_new_or_old(settings: TrainSettings, processes: Processes, reporter: Reporter) -> TrainResult:
    options = read_options(settings)
    if settings.resume is not None:
        return _resume(settings, options, processes, reporter)
    if settings.again is not None:
        return _train_again(settings, options, processes, reporter)
    if settings.method is None or settings.dataset is None:
        raise UsageError(
            "name a method and a dataset: mmx train METHOD --dataset NAME. See: mmx methods, mmx datasets"
        )
    resolved = resolve_method(settings.method, settings.wishes)
    if isinstance(resolved.method, Classifier):
        if processes.count > 1:
            raise UsageError(f"'{resolved.name}' learns in one process. Start mmx train by itself.")
        return train_classifier(resolved, settings, reporter)
    home = Home.find(settings.home)
    start = None if settings.init is None else find_run(settings.init, home.runs)
    return _begin(resolved, settings, start, options, processes, reporter)


def _train_again(
    settings: TrainSettings, options: TrainOptions, processes: Processes, reporter: Reporter
) -> TrainResult:
    run = find_run(present(settings.again), Home.find(settings.home).runs)
    resolved = _recorded(run)
    asked = replace(settings, dataset=run.facts["dataset"])
    return _begin(resolved, asked, start_of(run), _as_begun(options, run), processes, reporter, run)


def _recorded(run: RunFolder) -> ResolvedMethod:
    """The method and settings of a run's record."""
    return ResolvedMethod(run.facts["method"], *method_of(run), run.facts.get("set_by", {}))


def _as_begun(options: TrainOptions, run: RunFolder) -> TrainOptions:
    """Options with what a run keeps of its own."""
    facts = run.facts
    chunk = options.chunk or facts.get("chunk")
    return replace(options, seed=facts["seed"], precision=facts.get("precision", "fp32"), chunk=chunk)


def _begin(
    resolved: ResolvedMethod,
    settings: TrainSettings,
    start: RunFolder | None,
    options: TrainOptions,
    processes: Processes,
    reporter: Reporter,
    again: RunFolder | None = None,
) -> TrainResult:
    """Train a new run; `again` is the one that it must be like."""
    home, dataset = Home.find(settings.home), present(settings.dataset)
    chosen = settings.out or home.new_run(f"{resolved.name}-{canonical(dataset)}")
    out = Path(processes.exchange(str(chosen))[0])
    if processes.first:
        check_free(out)
        check_makeable(out)
    device = str(options.device)
    assembly = processes.in_turn(
        lambda: assemble(resolved.method, resolved.settings, home, dataset, device, reporter)
    )
    resolved = replace(resolved, method=assembly.fitted.method)
    facts = {**_facts(resolved, assembly, settings, options, start), "processes": processes.count}
    if again is not None:
        check_same(again, assembly)
        check_same_assets(again, assembly)
        facts["replay_of"] = {"run": str(again.path.absolute()), "fingerprint": again.fingerprint}

    def begin() -> RunFolder:
        if processes.first:
            return RunFolder.create(out, facts, assembly.fitted.assets)
        return RunFolder.open(out)

    open_run = partial(processes.in_turn, begin)
    return _train(resolved, assembly, open_run, start, options, processes, reporter)


def _resume(
    settings: TrainSettings, options: TrainOptions, processes: Processes, reporter: Reporter
) -> TrainResult:
    home = Home.find(settings.home)
    run = find_run(present(settings.resume), home.runs)
    _refuse_changes(settings, run)
    if processes.first:
        check_writable(run.path)
        # another training of this run is refused now, and not after minutes of loading what it reads
        with run.locked():
            pass
    resolved, device, assets = _recorded(run), str(options.device), run.assets()
    dataset = run.facts["dataset"]
    assembly = processes.in_turn(
        lambda: assemble(resolved.method, resolved.settings, home, dataset, device, reporter, assets)
    )
    check_same(run, assembly)
    if processes.first:
        note_resumed(run, options.device, processes.count)
    # weights to start from were taken in by the first state
    start = None if run.load_state() is not None else start_of(run)
    resolved = replace(resolved, method=assembly.fitted.method)
    options = _as_begun(options, run)
    return _train(resolved, assembly, lambda: run, start, options, processes, reporter)


def _train(
    resolved: ResolvedMethod,
    assembly: Assembly,
    open_run: Callable[[], RunFolder],
    start: RunFolder | None,
    options: TrainOptions,
    processes: Processes,
    reporter: Reporter,
) -> TrainResult:
    torch.manual_seed(derive_seed(options.seed, "build"))
    model = assembly.fitted.build(assembly.towers)
    if start is not None:
        start.load_start(model)
    data, validate = assembly.data("train"), validation_of(resolved, assembly, options)
    task = assembly.fitted.task
    if isinstance(task, Retrieval) and have_identities(assembly.manifest.split("val")):
        options = replace(options, metric=person_search.PRIMARY)
    # what cannot be trained is refused before there is a folder of a run
    plan_stages(resolved.method, resolved.settings, model, data, options.seed, options.chunk, processes)
    run = open_run()
    reporter.info(
        f"training {resolved.name} on '{assembly.manifest.name}', {options.device}, into {run.path}"
    )
    result = train_model(
        resolved.method, resolved.settings, model, data, run, options, validate, reporter, processes
    )
    if processes.first:
        draw_curves(run.log, run.path / CURVES)
        note = said_of_small_val(task, assembly.manifest.name, assembly.manifest.split("val"), run.path)
        if note:
            reporter.info(note)
    return result


def _facts(
    resolved: ResolvedMethod,
    assembly: Assembly,
    settings: TrainSettings,
    options: TrainOptions,
    start: RunFolder | None,
) -> dict[str, Any]:
    return {
        "method": resolved.name,
        "dataset": assembly.manifest.name,
        "manifest_fingerprint": assembly.manifest.fingerprint,
        "tasks": [task.name for task in resolved.method.tasks],
        "settings": vars(resolved.settings),
        "set_by": dict(resolved.set_by),
        "towers": dict(assembly.facts),
        "init": start and {"run": str(start.path.absolute()), "fingerprint": start.fingerprint},
        "seed": options.seed,
        "device": str(options.device),
        "precision": options.precision,
        "chunk": options.chunk,
        "argv": list(settings.argv),
    }


def _refuse_changes(settings: TrainSettings, run: RunFolder) -> None:
    """A resumed run is the run it was."""
    given = settings.wishes.given()
    fixed = {"out": None, "init": None, "seed": run.facts["seed"], "precision": run.facts.get("precision")}
    given += [f"--{name}" for name, kept in fixed.items() if getattr(settings, name) not in (None, kept)]
    if given:
        raise UsageError(
            f"a resumed run keeps its settings: leave out {', '.join(given)}, or start a new run."
        )
    asked: Mapping[str, str | None] = {"method": settings.method, "dataset": settings.dataset}
    for what, name in asked.items():
        if name is not None and canonical(name) != canonical(run.facts[what]):
            raise UsageError(f"'{run.path}' has the {what} '{run.facts[what]}', not '{name}'. Leave it out.")
