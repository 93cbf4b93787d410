"""mmx train: train a method on a prepared dataset."""

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmx.cli.metric_tables import title
from mmx.cli.options import DeviceOption, HomeOption, JsonOption, SetOption, WorkersOption
from mmx.cli.report import RichReporter, print_json, print_lines, print_table
from mmx.core.errors import UsageError
from mmx.core.launch import find_launch
from mmx.core.seed import read_seeds

if TYPE_CHECKING:
    from mmx.workflows.seeds import SeedsResult
    from mmx.workflows.sweep import SweepResult
    from mmx.workflows.train import TrainResult

TrainSeedOption = Annotated[
    int | None,
    typer.Option("--seed", help="Seed of everything random; else 0.", min=0, envvar="MMX_SEED"),
]


def train(
    method: Annotated[str | None, typer.Argument(help="Name of a method, see mmx methods.")] = None,
    dataset: Annotated[str | None, typer.Option("--dataset", help="Name of a prepared dataset.")] = None,
    preset: Annotated[
        str | None, typer.Option("--preset", help="Named settings of the method, such as tiny.")
    ] = None,
    set_: SetOption = None,
    config: Annotated[Path | None, typer.Option("--config", help="TOML file with settings.")] = None,
    task: Annotated[
        str | None, typer.Option("--task", help="What a method of several tasks learns, such as tagging.")
    ] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", help="Passes over the training images.")] = None,
    batch_size: Annotated[int | None, typer.Option("--batch-size", help="Images a batch.")] = None,
    lr: Annotated[float | None, typer.Option("--lr", help="Learning rate of the new layers.")] = None,
    seed: TrainSeedOption = None,
    device: DeviceOption = "auto",
    precision: Annotated[
        str | None, typer.Option("--precision", help="auto, fp32 or bf16; else auto.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder of the run; else a new one in the home.")
    ] = None,
    init: Annotated[
        Path | None, typer.Option("--init", help="Start from the weights of this run, a folder or a name.")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option("--resume", help="Go on with this run, a folder or a name.")
    ] = None,
    save_every: Annotated[
        str | None, typer.Option("--save-every", help="Steps (500) or time (300s, 10m) between saved states.")
    ] = None,
    workers: WorkersOption = None,
    chunk: Annotated[
        int | None,
        typer.Option("--chunk", help="Images of a batch in memory at a time; gradients stay the batch's."),
    ] = None,
    sweep: Annotated[
        str | None,
        typer.Option("--sweep", help="Train once for each value and plot val: --sweep theta=0.05,0.1,0.2."),
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option("--seeds", help="Train once for each: 1,2,5; a number alone is how many, from 1."),
    ] = None,
    settings: Annotated[
        bool, typer.Option("--settings", help="Show the method's settings and stop.")
    ] = False,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Train a method on a prepared dataset, or go on with a run that was stopped."""
    from mmx.workflows.method_settings import Wishes, settings_table

    flags = {"task": task, "epochs": epochs, "batch_size": batch_size, "lr": lr}
    wishes = Wishes(preset, config, tuple(set_ or ()), flags)
    if settings:
        return _show_settings(settings_table(method, wishes), json)
    from mmx.workflows import train as workflow
    from mmx.workflows.train_settings import TrainSettings

    asked = TrainSettings(
        method=method,
        dataset=dataset,
        wishes=wishes,
        seed=seed,
        device=device,
        precision=precision,
        out=out,
        init=init,
        resume=resume,
        save_every=save_every,
        workers=workers,
        chunk=chunk,
        home=home,
        argv=tuple(sys.argv),
    )
    several, launch = () if seeds is None else read_seeds(seeds), find_launch()
    if launch.processes > 1 and (sweep is not None or several):
        raise launch.say(
            UsageError("--sweep and --seeds train run after run in one process: start mmx train by itself.")
        )
    if sweep is not None:
        from mmx.workflows.sweep import sweep as run_sweep

        return _show_sweep(run_sweep(sweep, asked, RichReporter(), several), json)
    if several:
        from mmx.workflows.seeds import train_seeds

        return _show_seeds(train_seeds(several, asked, RichReporter()), json)
    result = workflow.train(asked, RichReporter())
    if launch.first:
        _show_result(result, json)


def _show_settings(rows: list, json: bool) -> None:
    if json:
        return print_json({"schema": "mmx.settings/1", "settings": [dataclasses.asdict(row) for row in rows]})
    cells = [(row.name, str(row.value), str(row.default), row.help, row.source, row.set_by) for row in rows]
    return print_table("settings", ("name", "value", "default", "meaning", "source", "set by"), cells)


def _show_sweep(result: "SweepResult", json: bool) -> None:
    if json:
        return print_json(result.document())
    names = list(result.rows[0].metrics)
    cells = [
        (row.value, *(_spread(row.metrics[name], row.deviation.get(name)) for name in names))
        for row in result.rows
    ]
    columns = (result.setting, *(title(name) for name in names))
    print_table(f"on val, runs by {title(result.metric)}", columns, cells, right=columns[1:])
    broken = [
        f"{result.setting} {row.value}, seed {seed}: {why}"
        for row in result.rows
        for seed, why in row.broken.items()
    ]
    return print_lines(*broken, f"runs: {result.folder}", f"plot: {result.folder / 'sweep.png'}")


def _show_seeds(result: "SeedsResult", json: bool) -> None:
    """The seeds, their mean and spread; then the error of the first that broke, with its exit code."""
    if json:
        print_json(result.document())
    else:
        whole = result.whole
        rows = [
            (
                title(name),
                *(f"{row.metrics[name]:.2f}" for row in whole),
                _spread(mean, result.deviation[name]),
            )
            for name, mean in result.mean.items()
        ]
        columns = ("on val", *(f"seed {row.seed}" for row in whole), "mean ± deviation")
        print_table("", columns, rows, right=columns[1:])
        print_lines(
            *(f"seed {row.seed} broke: {row.error}" for row in result.rows if row.error),
            f"runs: {result.folder}",
            *([f"next: mmx compare {result.folder} --split val"] if len(whole) > 1 else []),
        )
    if result.broken:
        seed, error = next(iter(result.broken.items()))
        raise type(error)(f"{len(result.broken)} of {len(result.rows)} seeds broke; seed {seed}: {error}")


def _spread(value: float, deviation: float | None) -> str:
    return f"{value:.2f}" if deviation is None else f"{value:.2f} ± {deviation:.2f}"


def _show_result(result: "TrainResult", json: bool) -> None:
    if json:
        return print_json({"schema": "mmx.train/1", **dataclasses.asdict(result), "run": str(result.run)})
    cells = [
        ("run", str(result.run)),
        *[("curves", str(drawn)) for drawn in [result.run / "curves.png"] if drawn.is_file()],
        ("best epoch", f"{result.epoch} (stage {result.stage}, step {result.step})"),
        *[(f"val {name}", f"{value:.2f}") for name, value in result.metrics.items()],
        ("steps", str(result.steps)),
        ("seconds", f"{result.seconds:.1f}"),
    ]
    print_table("trained", ("what", "value"), cells, right=("value",))
    return print_lines(f"next: mmx evaluate {result.run} --split val")
