"""mmx export: the towers of a run for other programs."""

from pathlib import Path
from typing import Annotated

import typer

from mmx.cli.options import HomeOption, JsonOption
from mmx.cli.report import RichReporter, print_json, print_lines, print_table
from mmx.core.home import Home


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run, by its name or folder.")],
    onnx: Annotated[
        bool, typer.Option("--onnx", help="As ONNX graphs, one for pictures and one for sentences.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Where they go; by default 'onnx' in the run, where search finds them."),
    ] = None,
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Write the towers of a run for other programs, checked against torch."""
    from mmx.workflows import export as workflow

    made = workflow.export(workflow.ExportSettings(run, onnx, out, Home.find(home)), RichReporter())
    if json:
        return print_json(made.as_document())
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
    print_lines(*(f"without {name}: {reason}" for name, reason in made.left_out.items()))
    print_lines(f"{made.bytes / 1e6:,.1f} MB in {made.path}")
    if out is None:
        RichReporter().info(f'next: mmx search "a dog on the grass" --in PHOTOS --run {run}')
    return None
