"""Train a method on a prepared corpus, or go on with a training that was stopped."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mmx.core.classifier import Classifier
from mmx.core.device import default_precision, find_device
from mmx.core.errors import ArtifactError, DataError, UsageError
from mmx.core.home import Home
from mmx.core.names import canonical
from mmx.core.record import have_identities
from mmx.core.reporter import Reporter, SilentReporter
from mmx.core.seed import derive_seed
from mmx.core.task import Retrieval, Study
from mmx.engine.split_loss import split_loss
from mmx.engine.trainer import TrainOptions, TrainResult, Validate, plan_stages
from mmx.engine.trainer import train as train_model
from mmx.reports.curves import draw_curves
from mmx.store.atomic import check_writable
from mmx.store.run import RunFolder, check_free, find_run
from mmx.tasks import person_search
from mmx.workflows.assemble import Assembly, assemble, method_of
from mmx.workflows.labelled import check_labelled, label_split
from mmx.workflows.method_settings import ResolvedMethod, Wishes, resolve_method
from mmx.workflows.stage_rows import measure_val
from mmx.workflows.train_classifier import train_classifier

PRECISIONS = ("auto", "fp32", "bf16")
CURVES = "curves.png"
UNITS = {"": 0, "s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True)
class TrainSettings:
    """What `mmx train` was asked for."""

    method: str | None = None
    dataset: str | None = None
    wishes: Wishes = field(default_factory=Wishes)
    seed: int | None = None
    """None for 0, or for that of the run that is resumed."""
    device: str = "auto"
    precision: str | None = None
    """None for `auto`, or for that of the run that is resumed."""
    out: Path | None = None
    init: Path | None = None
    """A run whose weights are the start."""
    resume: Path | None = None
    save_every: str | None = None
    """Steps (`500`) or time (`300s`, `10m`) between two saved states, besides the one after each epoch."""
    workers: int | None = None
    home: Path | None = None
    argv: tuple[str, ...] = ()


def train(settings: TrainSettings, reporter: Reporter) -> TrainResult:
    """Train, and keep the weights that are best on val.

    Raises:
        UsageError: when the words do not fit together.
        ArtifactError: when the corpus, weights or the run to go on with are missing or do not fit.
        DataError: when val has nothing to be measured on.
        ResourceError: when the run's folder cannot be written; found before any work.
        TrainingError, Interrupted: see `engine.trainer.train`.
    """
    options = _options(settings)
    if settings.resume is not None:
        return _resume(settings, options, reporter)
    if settings.method is None or settings.dataset is None:
        raise UsageError(
            "name a method and a dataset: mmx train METHOD --dataset NAME. See: mmx methods, mmx datasets"
        )
    resolved = resolve_method(settings.method, settings.wishes)
    if isinstance(resolved.method, Classifier):
        return train_classifier(resolved, settings, reporter)
    home = Home.find(settings.home)
    out = settings.out or home.new_run(f"{resolved.name}-{canonical(settings.dataset)}")
    check_free(out)
    check_writable(out.parent if not out.exists() else out)
    assembly = assemble(
        resolved.method, resolved.settings, home, settings.dataset, str(options.device), reporter
    )
    start = None if settings.init is None else find_run(settings.init, home.runs)
    resolved = replace(resolved, method=assembly.fitted.method)
    facts = _facts(resolved, assembly, settings, options, start)
    return _train(
        resolved,
        assembly,
        lambda: RunFolder.create(out, facts, assembly.fitted.assets),
        start,
        options,
        reporter,
    )


def _resume(settings: TrainSettings, options: TrainOptions, reporter: Reporter) -> TrainResult:
    home = Home.find(settings.home)
    run = find_run(settings.resume, home.runs)
    _refuse_changes(settings, run)
    check_writable(run.path)
    with run.locked():
        pass
    facts = run.facts
    method, values = method_of(run)
    resolved = ResolvedMethod(facts["method"], method, values, facts.get("set_by", {}))
    device, assets = str(options.device), run.assets()
    assembly = assemble(method, values, home, facts["dataset"], device, reporter, assets)
    _check_same(run, assembly)
    resolved = replace(resolved, method=assembly.fitted.method)
    options = replace(options, seed=facts["seed"], precision=facts.get("precision", "fp32"))
    return _train(resolved, assembly, lambda: run, _start_again(run), options, reporter)


def _start_again(run: RunFolder) -> RunFolder | None:
    """The run whose weights were to be the start, where training was stopped before it had saved any state.

    Raises:
        ArtifactError: when it is gone or has other weights now.
    """
    init = run.facts.get("init")
    if init is None or run.load_state() is not None:
        return None
    start = RunFolder.open(Path(init["run"]))
    if start.fingerprint != init["fingerprint"]:
        raise ArtifactError(
            f"'{run.path}' was to start from '{start.path}' with fingerprint '{init['fingerprint']}'; it has "
            f"'{start.fingerprint}' now. Start a new run."
        )
    return start


def _train(
    resolved: ResolvedMethod,
    assembly: Assembly,
    open_run: Callable[[], RunFolder],
    start: RunFolder | None,
    options: TrainOptions,
    reporter: Reporter,
) -> TrainResult:
    torch.manual_seed(derive_seed(options.seed, "build"))
    model = assembly.fitted.build(assembly.towers)
    if start is not None:
        start.load_start(model)
    data, validate = assembly.data("train"), _validation(resolved, assembly, options)
    task = assembly.fitted.task
    if isinstance(task, Retrieval) and have_identities(assembly.manifest.split("val")):
        options = replace(options, metric=person_search.PRIMARY)
    plan_stages(resolved.method, resolved.settings, model, data, options.seed)
    run = open_run()
    reporter.info(
        f"training {resolved.name} on '{assembly.manifest.name}', {options.device}, into {run.path}"
    )
    result = train_model(resolved.method, resolved.settings, model, data, run, options, validate, reporter)
    draw_curves(run.log, run.path / CURVES)
    return result


def _validation(resolved: ResolvedMethod, assembly: Assembly, options: TrainOptions) -> Validate:
    """What measures a model on val.

    Raises:
        DataError: when val has no picture, or no caption, or nothing of what posts are to be told.
    """
    records = assembly.manifest.split("val")
    if assembly.fitted.reads_posts:
        return _post_validation(assembly, options)
    pictures = sum(record.image is not None for record in records)
    captions = sum(len(record.captions) for record in records)
    if not pictures or not captions:
        raise DataError(
            f"'{assembly.manifest.name}' val has {pictures} pictures and {captions} captions: nothing can be "
            "matched to select weights by. Prepare it with both."
        )
    task, data = assembly.fitted.task, assembly.data("val")
    if isinstance(task, Study):
        stage = resolved.method.stages(resolved.settings)[-1]

        def study(model: nn.Module) -> dict[str, float]:
            loss = split_loss(resolved.method, model, stage, data, options.device, options.precision)
            return {"loss": loss, task.primary_metric: -loss}

        return study

    def validate(model: nn.Module) -> dict[str, float]:
        return measure_val(model, task, data, options.device, options.precision)

    return validate


def _post_validation(assembly: Assembly, options: TrainOptions) -> Validate:
    fitted, quiet = assembly.fitted, SilentReporter()
    check_labelled(fitted.task, assembly.manifest.split("val"), f"'{assembly.manifest.name}' val")
    data, names = assembly.data("val"), fitted.task.labels(fitted.assets)

    def validate(model: nn.Module) -> dict[str, float]:
        told = (data, options.device, options.precision, quiet)
        return label_split(model, fitted.task, names, *told).metrics

    return validate


def _options(settings: TrainSettings) -> TrainOptions:
    precision = settings.precision or "auto"
    if precision not in PRECISIONS:
        raise UsageError(f"there is no precision '{precision}'. There are: {', '.join(PRECISIONS)}.")
    device = find_device(settings.device)
    precision = default_precision(device) if precision == "auto" else precision
    steps, seconds = parse_interval(settings.save_every)
    options = TrainOptions(settings.seed or 0, device, precision, workers=settings.workers, save_steps=steps)
    return options if seconds is None else replace(options, save_seconds=seconds)


def parse_interval(text: str | None) -> tuple[int | None, float | None]:
    """`500` as steps, `300s`, `10m` or `1h` as seconds.

    Raises:
        UsageError: for anything else.
    """
    if text is None:
        return None, None
    found = re.fullmatch(r"(\d+)([smh]?)", text.strip())
    if found is None or int(found[1]) == 0:
        raise UsageError(
            f"'{text}' is not an interval. Write steps (--save-every 500) or time (300s, 10m, 1h)."
        )
    count, unit = int(found[1]), UNITS[found[2]]
    return (None, float(count * unit)) if unit else (count, None)


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


def _check_same(run: RunFolder, assembly: Assembly) -> None:
    """The corpus and the towers must be those that the run began with."""
    if run.facts["manifest_fingerprint"] != assembly.manifest.fingerprint:
        raise ArtifactError(
            f"'{run.path}' began on '{assembly.manifest.name}' with fingerprint "
            f"{run.facts['manifest_fingerprint']}; it has been prepared anew since, as "
            f"{assembly.manifest.fingerprint}. Start a new run."
        )
    for modality, fact in run.facts["towers"].items():
        now = assembly.facts[modality]["fingerprint"]
        if now != fact["fingerprint"]:
            raise ArtifactError(
                f"'{run.path}' began with the {modality} encoder '{fact['encoder']}', fingerprint "
                f"{fact['fingerprint']}; here it has {now}. Bring those weights back, or start a new run."
            )
