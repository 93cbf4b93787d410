"""mmx replay: run a run again from its record, and see whether it comes to the same."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmx.cli.options import HomeOption, JsonOption, WorkersOption
from mmx.cli.report import RichReporter, print_json, print_lines, print_table
from mmx.core.errors import ReplayError, UsageError
from mmx.core.home import Home
from mmx.core.launch import find_launch

if TYPE_CHECKING:
    from mmx.workflows.replay import Replayed


def replay(
    run: Annotated[Path, typer.Argument(help="A run's folder or name.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Folder of the second run, or one that was stopped; else beside the first."
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option("--device", help="auto, cpu, cuda or mps; else that of the run.", envvar="MMX_DEVICE"),
    ] = None,
    workers: WorkersOption = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Train a run again from its record alone, and compare: weights bit for bit, log, numbers on val.

    Settings, seed, precision, device, threads and start are those of the record; the data and encoders must
    have the record's fingerprints. Exits with 0 when the two are equal, with 5 when something else came out,
    and with 4 when the run cannot be done again here.
    """
    from mmx.workflows import replay as workflow

    launch = find_launch()
    if launch.processes > 1:
        raise launch.say(UsageError("a run is replayed in one process: start mmx replay by itself."))
    settings = workflow.ReplaySettings(
        home=Home.find(home), run=run, out=out, device=device, workers=workers, argv=("mmx", *sys.argv[1:])
    )
    found = workflow.replay(settings, RichReporter())
    if json:
        print_json(found.document())
    else:
        show(found)
    if not found.equal:
        unlike = ", ".join(part.name for part in found.parts if not part.equal)
        because = ", ".join(found.changed) or "nothing that the record knows"
        raise ReplayError(f"'{found.run}' did not come out the same: {unlike}. What changed: {because}.")


def show(found: "Replayed") -> None:
    """What was compared, and what is not as it was."""
    cells = [(part.name, "yes" if part.equal else "NO", part.said) for part in found.parts]
    print_table(f"{found.run} and its replay", ("what", "equal", "how"), cells)
    print_lines(
        *(f"{name}: was {_said(was)}, is {now}" for name, (was, now) in found.changed.items()),
        *([f"not in the run's record: {', '.join(found.unrecorded)}"] if found.unrecorded else []),
        f"replay: {found.replay} ({found.seconds:.1f} s)",
    )


def _said(values: list) -> str:
    return " and ".join(map(str, values))
