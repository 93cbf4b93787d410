"""mmx search: find the pictures that best match a sentence or another picture."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmx.cli.options import DeviceOption, HomeOption, JsonOption
from mmx.cli.report import RichReporter, print_json, print_lines, print_table
from mmx.core.home import Home

if TYPE_CHECKING:
    from mmx.workflows.search import SearchResult

DEFAULT_SHEET = Path("mmx-search.png")


def search(
    query: Annotated[str | None, typer.Argument(help='What to look for, e.g. "man riding cycle".')] = None,
    image: Annotated[
        Path | None, typer.Option("--image", help="Look for what is like this picture instead.")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--in", help="A folder of photos; by default the run's dataset.")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="A prepared dataset; by default the run's own.")
    ] = None,
    run: Annotated[
        Path | None, typer.Option("--run", help="The run to search with; by default the newest.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", help="A pretrained pair of towers, e.g. hub:openai/clip-vit-base-patch32."),
    ] = None,
    split: Annotated[
        str | None, typer.Option("--split", help="train, val or test; by default all of them.")
    ] = None,
    captions: Annotated[bool, typer.Option("--captions", help="Find captions instead of pictures.")] = False,
    top: Annotated[int, typer.Option("--top", help="How many hits.", min=0)] = 9,
    sheet: Annotated[
        Path | None,
        typer.Option(
            "--sheet", help=f"Where the contact sheet goes; by default {DEFAULT_SHEET} beside a table."
        ),
    ] = None,
    no_sheet: Annotated[bool, typer.Option("--no-sheet", help="Make no contact sheet.")] = False,
    paths: Annotated[
        bool, typer.Option("--paths", help="The paths of the pictures and nothing else.")
    ] = False,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Encode everything again.")] = False,
    json: JsonOption = False,
    device: DeviceOption = "auto",
    home: HomeOption = None,
) -> None:
    """Find the pictures that best match a sentence."""
    from mmx.workflows import search as workflow

    settings = workflow.SearchSettings(
        query=query,
        image=image,
        captions=captions,
        run=run,
        model=model,
        folder=folder,
        dataset=dataset,
        split=split,
        top=top,
        sheet=_sheet(sheet, no_sheet, default=None if json or paths else DEFAULT_SHEET),
        rebuild=rebuild,
        home=Home.find(home),
        device=device,
    )
    result = workflow.search(settings, RichReporter())
    if json:
        return print_json(result.as_document())
    if paths:
        return print_lines(*(hit.path for hit in result.hits))
    return _show(result)


def _sheet(asked: Path | None, none: bool, default: Path | None) -> Path | None:
    """Programs that read the result get a sheet when they ask for one."""
    return None if none else asked or default


def _show(result: "SearchResult") -> None:
    where = f"{result.size:,} {result.finds} of {', '.join(result.searched)}"
    title = f"'{result.query}' in {where}, by {result.matcher}"
    rows = [(str(hit.rank), f"{hit.score:.3f}", hit.id, hit.caption) for hit in result.hits]
    print_table(title, ("rank", "score", "picture", "caption"), rows, right=("rank", "score"))
    print_lines(*([] if result.sheet is None else [f"contact sheet: {result.sheet}"]))
