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
SplitOption = Annotated[str, typer.Option("--split", help="val; train; or test, which is asked for by name.")]
RerankTopOption = Annotated[
    str | None,
    typer.Option(
        "--rerank-top",
        help="Of runs with a second stage: how many of the nearest are ranked again; all scores every "
        "pair; 0 for none. By default 100.",
    ),
]
EmbeddedOption = Annotated[int, typer.Option("--batch-size", help="Items embedded at a time.", min=1)]
SetOption = Annotated[list[str] | None, typer.Option("--set", help="name=value; may be given several times.")]
WorkersOption = Annotated[
    int | None,
    typer.Option("--workers", help="Processes that decode pictures; by default the cores less one.", min=0),
]
OtherDatasetOption = Annotated[
    str | None, typer.Option("--dataset", help="Another dataset than the run's own.")
]
SearchFolderOption = Annotated[
    Path | None, typer.Option("--in", help="A folder of photos; by default the run's dataset.")
]
SearchDatasetOption = Annotated[
    str | None, typer.Option("--dataset", help="A prepared dataset; by default the run's own.")
]
SearchRunOption = Annotated[
    Path | None, typer.Option("--run", help="The run to search with; by default the newest.")
]
SearchModelOption = Annotated[
    str | None,
    typer.Option("--model", help="A pretrained pair of towers, e.g. hub:openai/clip-vit-base-patch32."),
]
SearchSplitOption = Annotated[
    str | None, typer.Option("--split", help="train, val or test; by default all of them.")
]
RefreshOption = Annotated[
    bool, typer.Option("--refresh/--no-refresh", help="Look for new and changed photos first, or do not.")
]
