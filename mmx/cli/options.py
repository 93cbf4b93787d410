"""Options that several commands share, with one wording."""

from pathlib import Path
from typing import Annotated

import typer

HomeOption = Annotated[
    Path | None,
    typer.Option("--home", help="Where artefacts are kept; else $MMX_HOME, else ~/.local/share/mmx."),
]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.", envvar="MMX_DEVICE")]
SeedOption = Annotated[
    int, typer.Option("--seed", help="Seed of everything random.", min=0, envvar="MMX_SEED")
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="One JSON document on standard output and nothing else.")
]
SetOption = Annotated[list[str] | None, typer.Option("--set", help="name=value; may be given several times.")]
WorkersOption = Annotated[
    int | None,
    typer.Option("--workers", help="Processes that decode pictures; by default the cores less one.", min=0),
]
