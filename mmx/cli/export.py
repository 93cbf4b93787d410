"""mmx export: the towers of a run for other programs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmx.cli.options import HomeOption, JsonOption
from mmx.cli.report import RichReporter, print_json, print_lines, print_table
from mmx.core.home import Home

if TYPE_CHECKING:
    from mmx.workflows.int8_recall import Int8Recall, MeasuredTowers

DIFFERENCES = "In brackets: the difference to float, and its 95% interval over resampled pictures."


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run, by its name or folder.")],
    onnx: Annotated[
        bool, typer.Option("--onnx", help="As ONNX graphs, one for pictures and one for sentences.")
    ] = False,
    int8: Annotated[
        bool,
        typer.Option(
            "--int8",
            help="With weights in 8 bits: smaller, and words are read faster. Recall on val is measured in "
            "both, and nothing is kept where it falls by more than --int8-tolerance.",
        ),
    ] = False,
    int8_tolerance: Annotated[
        float | None,
        typer.Option(
            "--int8-tolerance", help="The most points that a recall may fall by --int8; by default 1."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Where they go; by default 'onnx' in the run, where search finds them."),
    ] = None,
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Write the towers of a run for other programs, checked against torch."""
    from mmx.workflows import export as workflow

    made = workflow.export(
        workflow.ExportSettings(run, onnx, int8, int8_tolerance, out, Home.find(home)), RichReporter()
    )
    if json:
        return print_json(made.document())
    columns = ("side", "compared on", "batches", "greatest difference", "least cosine")
    rows = [
        (
            name,
            made.compared_on[name],
            ", ".join(side.batches),
            f"{side.deviation:.1e}",
            f"{side.cosine:.7f}",
        )
        for name, side in made.sides.items()
    ]
    print_table(f"'{made.run}' beside torch", columns, rows, right=columns[3:])
    if made.int8 is not None:
        _print_recall(made.int8)
    print_lines(*(f"without {name}: {reason}" for name, reason in made.left_out.items()))
    print_lines(f"{made.bytes / 1e6:,.1f} MB in {made.path}")
    if out is None and made.int8 is None:
        RichReporter().info(f'next: mmx search "a dog on the grass" --in PHOTOS --run {run}')
    elif out is None:
        RichReporter().info(
            f"next, if {run} reads words by a tokenizer and looks once: mmx index add PHOTOS --run {run}, "
            f'then mmx search "a dog on the grass" --in PHOTOS --run {run} --engine onnx'
        )
    return None


def _print_recall(found: "Int8Recall") -> None:
    """Each recall of each choice of towers, with the difference to float and its interval."""
    names = [row.towers for row in found.rows]
    rows = [
        (metric, *(_with_difference(row, metric) for row in found.rows))
        for metric in found.rows[1].differences
    ]
    title = f"'{found.dataset}' val, {found.pictures:,} pictures and {found.captions:,} captions"
    print_table(title, ("", *names), rows, right=names)
    print_lines(f"No recall may fall by more than {found.tolerance:g}. {DIFFERENCES}")


def _with_difference(row: "MeasuredTowers", metric: str) -> str:
    value = f"{row.metrics[metric]:.2f}"
    if not row.differences:
        return value
    found = row.differences[metric]
    return f"{value} ({found.difference:+.2f}, {found.low:+.2f} to {found.high:+.2f})"
