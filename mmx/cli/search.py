"""mmx search: find the pictures that best match a sentence, another picture, or a sum of them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmx.cli.hits import print_captions, print_json_lines, print_paths, print_results
from mmx.cli.options import DeviceOption, HomeOption, JsonOption
from mmx.cli.report import RichReporter, print_json
from mmx.core.errors import UsageError
from mmx.core.home import Home

if TYPE_CHECKING:
    from mmx.workflows.search_result import SearchResult
    from mmx.workflows.search_settings import SearchSettings

DEFAULT_SHEET = Path("mmx-search.png")


def search(
    queries: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="QUERY...",
            help='What to look for: "man riding cycle", or a sum with weights, signs and files of pictures: '
            '"2: dog + ./pool.jpg - fruit". Several queries have an answer each.',
        ),
    ] = None,
    image: Annotated[
        Path | None, typer.Option("--image", help="Look for what is like this picture instead.")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--in", help="A folder of photos; by default the run's dataset.")
    ] = None,
    index: Annotated[
        str | None,
        typer.Option(
            "--index",
            help="An index of photos by its address: a file of Milvus (PATH.db), a cluster "
            "(http://HOST:PORT/DATABASE#COLLECTION), a gallery's file (PATH.safetensors). By default it is "
            "searched with what made it.",
        ),
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
    where: Annotated[
        str | None,
        typer.Option(
            "--where",
            help="Only pictures for which this SQL condition holds, on id, folder, name, size, date; of a "
            "dataset also split, label, captions and the columns of its own table.",
        ),
    ] = None,
    table: Annotated[
        Path | None, typer.Option("--table", help="A CSV or JSONL whose columns --where may use beside --in.")
    ] = None,
    min_score: Annotated[
        str | None,
        typer.Option(
            "--min-score",
            help="The least cosine, e.g. 0.3; or, e.g., 90% for the cosine above which 90% of the right "
            "pictures of a run's val lie.",
        ),
    ] = None,
    collapse: Annotated[
        bool, typer.Option("--collapse", help="Show pictures that are nearly the same as one.")
    ] = False,
    collapse_above: Annotated[
        float | None, typer.Option("--collapse-above", help="The same, from this cosine; by default 0.98.")
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
    html: Annotated[
        Path | None, typer.Option("--html", help="Write the hits as one page that needs no other file.")
    ] = None,
    show: Annotated[
        bool, typer.Option("--open", help="Open the page, or else the contact sheet, in its viewer.")
    ] = False,
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
    print0: Annotated[
        bool, typer.Option("--print0", help="The same, a NUL byte after each, for xargs -0.")
    ] = False,
    refresh: Annotated[
        bool,
        typer.Option("--refresh/--no-refresh", help="Look for new and changed photos first, or do not."),
    ] = True,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Encode everything again.")] = False,
    json: JsonOption = False,
    jsonl: Annotated[bool, typer.Option("--jsonl", help="A line of JSON a hit and nothing else.")] = False,
    engine: Annotated[
        str,
        typer.Option(
            "--engine",
            help="What reads the words: torch; onnx, by an export of the run (mmx export RUN --onnx); auto "
            "takes onnx where it can answer alone, which saves the time to load torch.",
            envvar="MMX_ENGINE",
        ),
    ] = "auto",
    device: DeviceOption = "auto",
    home: HomeOption = None,
) -> None:
    """Find the pictures that best match a sentence."""
    from mmx.workflows.search_result import as_document
    from mmx.workflows.search_settings import NEARLY_SAME, SearchSettings

    if caption_qa is not None:
        from mmx.workflows import caption_qa as question_workflow

        _refuse_beside_a_question(
            {
                "--image": image,
                "--in": folder,
                "--index": index,
                "--where": where,
                "--min-score": min_score,
                "--collapse": collapse or collapse_above,
                "--captions": captions,
                "--rerank-top": rerank_top,
                "--explain": explain,
                "--explain-hits": explain_hits,
                "--sheet": sheet,
                "--html": html,
                "--paths": paths or print0,
                "--jsonl": jsonl,
                "--engine onnx": engine == "onnx",
            }
        )
        asked = question_workflow.CaptionQaSettings(
            photo=caption_qa,
            question=" ".join(queries or []) or None,
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
        return print_json(found.as_document()) if json else print_captions(found)
    for_programs = json or jsonl or paths or print0
    _refuse_two_forms({"--json": json, "--jsonl": jsonl, "--paths": paths, "--print0": print0})
    asked = [
        SearchSettings(
            query=query,
            image=image,
            captions=captions,
            run=run,
            model=model,
            folder=folder,
            index=index,
            dataset=dataset,
            split=split,
            where=where,
            table=table,
            min_score=min_score,
            collapse=NEARLY_SAME if collapse and collapse_above is None else collapse_above,
            top=top,
            rerank_top=rerank_top,
            sheet=_numbered(_sheet(sheet, no_sheet, for_programs), number),
            page=_numbered(html, number),
            explain=explain_hits or int(explain),
            evidence=_beside(_numbered(sheet or DEFAULT_SHEET, number), "evidence"),
            rebuild=rebuild,
            refresh=refresh,
            home=Home.find(home),
            device=device,
            engine=engine,
        )
        for number, query in _counted(queries)
    ]
    results = _answers(asked)
    if json:
        print_json(as_document(results))
    elif jsonl:
        print_json_lines(results)
    elif for_programs:
        print_paths(results, "\0" if print0 else "\n")
    else:
        print_results(results)
    if show:
        _open(results[0].page or results[0].sheet)


def _answers(asked: "list[SearchSettings]") -> "list[SearchResult]":
    """Without torch where that can be, since loading it takes longer than all the rest."""
    from mmx.workflows.quick_search import quick_search

    found = quick_search(asked, RichReporter())
    if found is None:
        from mmx.workflows.search import search_all

        found = search_all(asked, RichReporter())
    return found


def _counted(queries: list[str] | None) -> list[tuple[int | None, str | None]]:
    """Each query with its number; where there is but one, without."""
    if not queries or len(queries) == 1:
        return [(None, queries[0] if queries else None)]
    return list(enumerate(queries, start=1))


def _numbered(path: Path | None, number: int | None) -> Path | None:
    """The answer to one of several queries is a file of its own."""
    return path if path is None or number is None else path.with_name(f"{path.stem}-{number}{path.suffix}")


def _sheet(asked: Path | None, none: bool, for_programs: bool) -> Path | None:
    """Programs that read the result get a sheet when they ask for one."""
    return None if none else asked or (None if for_programs else DEFAULT_SHEET)


def _beside(sheet: Path, what: str) -> Path:
    """A name that says what it is, beside the contact sheet, without a suffix."""
    return sheet.with_name(f"{sheet.stem}-{what}")


def _open(path: Path | None) -> None:
    if path is None:
        raise UsageError("--open shows a page or a contact sheet, and none was written. Add --html FILE.")
    typer.launch(str(path))


def _refuse_two_forms(forms: dict[str, bool]) -> None:
    given = [word for word, asked in forms.items() if asked]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} are two forms of an answer. Give one of them.")


def _refuse_beside_a_question(others: dict[str, object]) -> None:
    """A photo with a question gives a table of captions, and takes no other way to search or to show."""
    word = next((word for word, given in others.items() if given), None)
    if word is not None:
        raise UsageError(
            f"{word} does not go with --caption-qa, which retrieves captions for a photo and orders them by "
            "a question. Leave out one of them."
        )
