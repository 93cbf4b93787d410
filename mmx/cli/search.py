"""mmx search: find the pictures that best match a sentence or another picture."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmx.cli.options import DeviceOption, HomeOption, JsonOption
from mmx.cli.report import RichReporter, print_json, print_lines, print_table
from mmx.core.errors import UsageError
from mmx.core.home import Home

if TYPE_CHECKING:
    from mmx.workflows.caption_qa import CaptionQaResult
    from mmx.workflows.search import Hit, SearchResult

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
    caption_qa: Annotated[
        Path | None,
        typer.Option(
            "--caption-qa",
            help="A photo that the query asks about: captions retrieved for it, nearest to the question "
            "first; of the training split, or of --split.",
        ),
    ] = None,
    top: Annotated[int, typer.Option("--top", help="How many hits.", min=0)] = 9,
    rerank_top: Annotated[
        int | None,
        typer.Option(
            "--rerank-top",
            help="Of a run with a second stage: how many of the nearest it looks at again; 0 for none. By "
            "default 100.",
            min=0,
        ),
    ] = None,
    sheet: Annotated[
        Path | None,
        typer.Option(
            "--sheet", help=f"Where the contact sheet goes; by default {DEFAULT_SHEET} beside a table."
        ),
    ] = None,
    no_sheet: Annotated[bool, typer.Option("--no-sheet", help="Make no contact sheet.")] = False,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain", help="Draw which word met which region of the best hit; see --explain-hits."
        ),
    ] = False,
    explain_hits: Annotated[
        int | None, typer.Option("--explain-hits", help="Explain so many of the best hits.", min=1)
    ] = None,
    paths: Annotated[
        bool, typer.Option("--paths", help="The paths of the pictures and nothing else.")
    ] = False,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Encode everything again.")] = False,
    json: JsonOption = False,
    device: DeviceOption = "auto",
    home: HomeOption = None,
) -> None:
    """Find the pictures that best match a sentence."""
    from mmx.workflows import caption_qa as question_workflow
    from mmx.workflows import search as workflow

    if caption_qa is not None:
        _refuse_beside_a_question(
            {
                "--image": image,
                "--in": folder,
                "--captions": captions,
                "--rerank-top": rerank_top,
                "--explain": explain,
                "--explain-hits": explain_hits,
                "--sheet": sheet,
                "--paths": paths,
            }
        )
        asked = question_workflow.CaptionQaSettings(
            photo=caption_qa,
            question=query,
            run=run,
            model=model,
            dataset=dataset,
            split=split or question_workflow.TRAINING,
            top=top,
            rebuild=rebuild,
            home=Home.find(home),
            device=device,
        )
        found = question_workflow.caption_qa(asked, RichReporter())
        return print_json(found.as_document()) if json else _show_captions(found)
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
        rerank_top=rerank_top,
        sheet=_sheet(sheet, no_sheet, default=None if json or paths else DEFAULT_SHEET),
        explain=explain_hits or int(explain),
        evidence=_beside(sheet or DEFAULT_SHEET, "evidence"),
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


def _refuse_beside_a_question(others: dict[str, object]) -> None:
    """A photo with a question gives a table of captions, and takes no other way to search or to show."""
    word = next((word for word, given in others.items() if given), None)
    if word is not None:
        raise UsageError(
            f"{word} does not go with --caption-qa, which retrieves captions for a photo and orders them by "
            "a question. Leave out one of them."
        )


def _show_captions(result: "CaptionQaResult") -> None:
    title = (
        f"'{result.question}': {result.retrieved:,} captions retrieved for '{result.photo}' from "
        f"{result.size:,} of {result.source}, by {result.matcher}"
    )
    rows = [
        (str(one.rank), f"{one.question_score:.3f}", f"{one.photo_score:.3f}", one.caption, one.id)
        for one in result.candidates
    ]
    columns = ("rank", "to question", "to photo", "caption", "written for")
    print_table(title, columns, rows, right=columns[:3])
    print_lines(result.definition)


def _beside(sheet: Path, what: str) -> Path:
    """A name that says what it is, beside the contact sheet, without a suffix."""
    return sheet.with_name(f"{sheet.stem}-{what}")


def _numbers(hit: "Hit") -> tuple[str, str, str]:
    """Rank, score and cosine; what the second stage did not look at has no score but its cosine."""
    cosine = hit.score if hit.cosine is None else hit.cosine
    return str(hit.rank), f"{hit.score:.3f}", f"{cosine:.3f}"


def _show(result: "SearchResult") -> None:
    where = f"{result.size:,} {result.finds} of {', '.join(result.searched)}"
    title = f"'{result.query}' in {where}, by {result.matcher}"
    numbers = ("rank", "score") if result.rerank is None else ("rank", "score", "cosine")
    rows = [(*_numbers(hit)[: len(numbers)], hit.id, hit.caption) for hit in result.hits]
    print_table(title, (*numbers, "picture", "caption"), rows, right=numbers)
    if result.rerank is not None:
        top, weight = result.rerank["top"], result.rerank["weight"]
        print_lines(f"score: cosine + {weight:g} x the second stage's, of the {top:,} nearest by cosine")
    print_lines(*([] if result.sheet is None else [f"contact sheet: {result.sheet}"]))
    print_lines(*([] if result.explained is None else result.explained.lines))
