"""mmx fewshot: learn classes from a few photos each, every classifier on the same ones."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmx.cli.options import DeviceOption, HomeOption, JsonOption, SetOption
from mmx.cli.report import RichReporter, print_json, print_lines, print_table
from mmx.core.home import Home
from mmx.core.seed import read_seeds

if TYPE_CHECKING:
    from mmx.workflows.shot_table import Row, ShotTable


def fewshot(
    dataset: Annotated[str, typer.Argument(help="A prepared dataset with classes.")],
    shots: Annotated[str, typer.Option("--shots", help="Pictures a class, such as 16 or 1,2,4,8,16.")] = "16",
    seeds: Annotated[
        str,
        typer.Option(
            "--seeds", help="Each draws shots of its own: 1,2,5; a number alone is how many, from 1."
        ),
    ] = "1,2,3",
    method: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            help="Only this classifier: zero-shot, nearest-mean, gaussian, linear-probe, cross-modal-probe, "
            "tip-adapter, tip-adapter-f, lp-plus-plus, clap, or a method; name/preset for one row. May be "
            "given several times.",
        ),
    ] = None,
    set_: SetOption = None,
    encoder: Annotated[
        str,
        typer.Option(
            "--encoder", help="Encoder of the pictures; auto: features that were taken in, else offline."
        ),
    ] = "auto",
    prompt: Annotated[
        list[str] | None,
        typer.Option("--prompt", help="A sentence with {} for the class. May be given several times."),
    ] = None,
    class_texts: Annotated[
        Path | None,
        typer.Option("--class-texts", help="Vectors of class names made elsewhere: .npy or .safetensors."),
    ] = None,
    text_names: Annotated[
        Path | None, typer.Option("--text-names", help="csv, txt or json: the class of each such vector.")
    ] = None,
    only_named: Annotated[
        bool, typer.Option("--only-named", help="Keep to the classes that --text-names names.")
    ] = False,
    index: Annotated[
        Path | None,
        typer.Option("--index", help="Published shots: a JSON index, or a folder of shot_N-seed_S.json."),
    ] = None,
    split: Annotated[
        str, typer.Option("--split", help="What is reported: test, or val without its validation shots.")
    ] = "test",
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder of the run; else a new one in the home.")
    ] = None,
    curve: Annotated[
        Path | None, typer.Option("--curve", help="Where the picture goes; else shots.png in the run.")
    ] = None,
    device: DeviceOption = "auto",
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Compare few-shot classifiers on the same shots, and keep the one that is best on validation shots.

    Features are extracted first where they lack. The run that is kept labels new photos: mmx predict.
    """
    from mmx.workflows import fewshot as workflow
    from mmx.workflows.fewshot_settings import FewshotSettings, read_numbers

    settings = FewshotSettings(
        dataset=dataset,
        shots=read_numbers(shots, "--shots"),
        seeds=read_seeds(seeds),
        methods=tuple(method or ()),
        assignments=tuple(set_ or ()),
        encoder=encoder,
        prompts=tuple(prompt or ()),
        class_texts=class_texts,
        text_names=text_names,
        only_named=only_named,
        index=index,
        split=split,
        out=out,
        curve=curve,
        device=device,
        home=Home.find(home),
        argv=("mmx", *sys.argv[1:]),
    )
    table = workflow.fewshot(settings, RichReporter())
    if json:
        return print_json(table.document())
    return show(table)


def show(table: "ShotTable") -> None:
    """A table for each number of shots, who was left out, and what was kept."""
    facts, columns = table.facts, ("classifier", "learns", "val", "accuracy", "macro F1", "seconds")
    for shots in table.shots:
        title = f"{facts['dataset']} {facts['split']}, {shots} shots"
        print_table(title, columns, [_cells(row) for row in table.rows(shots)], right=columns[2:])
    for why in dict.fromkeys(found.why for found in table.left_out):
        names = ", ".join(found.name for found in table.left_out if found.why == why)
        print_lines(f"left out: {names}: {why}.")
    seeds = ", ".join(map(str, facts["seeds"]))
    print_lines(
        f"{facts['pictures']:,} pictures of {facts['classes']} classes; seeds {seeds}; shots: "
        f"{facts['shots_from']}; {facts['features']} of {facts['encoder']}; {facts['class_texts']}.",
        *table.definitions,
        f"curve: {table.curve}",
        f"kept: {table.chosen}, the best on val at {table.shots[-1]} shots, as {table.run} "
        f"({table.seconds:.1f} s in all)",
        f"next: mmx predict {table.run} PHOTO",
    )


def _cells(row: "Row") -> tuple[str, ...]:
    return (
        row.name,
        "yes" if row.learns else "closed form",
        f"{row.val:.1f}",
        f"{row.mean:.2f} ± {row.deviation:.2f}",
        f"{row.macro_f1:.2f}",
        f"{row.seconds:.2f}",
    )
