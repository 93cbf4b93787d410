"""mmx search: find the pictures that best match a sentence, another picture, or a sum of them."""

import dataclasses
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmx.cli.caption_question import answer_question
from mmx.cli.hits import print_json_lines, print_paths, print_results
from mmx.cli.options import (
    DeviceOption,
    HomeOption,
    JsonOption,
    RefreshOption,
    SearchDatasetOption,
    SearchFolderOption,
    SearchModelOption,
    SearchRunOption,
    SearchSplitOption,
)
from mmx.cli.report import RichReporter, print_json
from mmx.core.errors import UsageError
from mmx.core.home import Home

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mmx.workflows.search_result import SearchResult
    from mmx.workflows.search_settings import SearchSettings

DEFAULT_SHEET = Path("mmx-search.png")
BARE_WORD = re.compile(r"[^\W\d_][\w'’-]*[.,;!?]?")
"""No weight, no sign, no file: what a sentence without quotes falls apart into."""


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
    folder: SearchFolderOption = None,
    index: Annotated[
        str | None,
        typer.Option(
            "--index",
            help="An index of photos by its address: a file of Milvus (PATH.db), a cluster "
            "(http://HOST:PORT/DATABASE#COLLECTION), a gallery's file (PATH.safetensors). By default it is "
            "searched with what made it.",
        ),
    ] = None,
    dataset: SearchDatasetOption = None,
    run: SearchRunOption = None,
    model: SearchModelOption = None,
    split: SearchSplitOption = None,
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
    refresh: RefreshOption = True,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Encode everything again.")] = False,
    json: JsonOption = False,
    jsonl: Annotated[bool, typer.Option("--jsonl", help="A line of JSON a hit and nothing else.")] = False,
    engine: Annotated[
        str,
        typer.Option(
            "--engine",
            help="What reads the words: torch; onnx, by an export of the run (mmx export RUN --onnx); auto "
            "takes onnx where it can answer alone, which saves the time to load torch, but no export in "
            "int8.",
            envvar="MMX_ENGINE",
        ),
    ] = "auto",
    device: DeviceOption = "auto",
    home: HomeOption = None,
) -> None:
    """Find the pictures that best match a sentence."""
    from mmx.workflows.search_result import document_of
    from mmx.workflows.search_settings import NEARLY_SAME, SearchSettings

    for_programs = json or jsonl or paths or print0
    _refuse_two_forms({"--json": json, "--jsonl": jsonl, "--paths": paths, "--print0": print0})
    asked = SearchSettings(
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
        sheet=_sheet(sheet, no_sheet, for_programs),
        page=html,
        explain=explain_hits or int(explain),
        rebuild=rebuild,
        refresh=refresh,
        home=Home.find(home),
        device=device,
        engine=engine,
    )
    if caption_qa is not None:
        forms = {"--sheet": sheet, "--open": show, "--paths": paths or print0, "--jsonl": jsonl}
        return answer_question(caption_qa, " ".join(queries or []), asked, forms, json)
    _note_lone_words(queries or [])
    results = _answers(_for_each(queries or [None], asked, sheet or DEFAULT_SHEET))
    if json:
        print_json(document_of(results))
    elif jsonl:
        print_json_lines(results)
    elif for_programs:
        print_paths(results, "\0" if print0 else "\n")
    else:
        print_results(results)
    if show:
        _open(results[0].page or results[0].sheet)
    return None


def _note_lone_words(queries: "Sequence[str]") -> None:
    """A sentence that was typed without quotes comes as one query a word: say so before the work."""
    if len(queries) > 1 and all(BARE_WORD.fullmatch(query) for query in queries):
        RichReporter().info(
            f"searching for {len(queries)} queries, one a word; for one sentence quote it: "
            f'mmx search "{" ".join(queries)}"'
        )


def _answers(asked: "list[SearchSettings]") -> "list[SearchResult]":
    """Without torch where that can be, since loading it takes longer than all the rest."""
    from mmx.workflows.quick_search import quick_search

    found = quick_search(asked, RichReporter())
    if found is None:
        from mmx.workflows.search import search_all

        found = search_all(asked, RichReporter())
    return found


def _for_each(
    queries: "Sequence[str | None]", asked: "SearchSettings", sheet: Path
) -> "list[SearchSettings]":
    """A search for each query; of several the answers are files with a number each."""
    ends = [""] if len(queries) == 1 else [f"-{number}" for number in range(1, len(queries) + 1)]
    return [
        dataclasses.replace(
            asked,
            query=query,
            sheet=asked.sheet and _named(asked.sheet, f"{end}{asked.sheet.suffix}"),
            page=asked.page and _named(asked.page, f"{end}{asked.page.suffix}"),
            evidence=_named(sheet, f"{end}-evidence"),
        )
        for query, end in zip(queries, ends, strict=True)
    ]


def _named(path: Path, end: str) -> Path:
    """A path with another end than its suffix."""
    return path.parent / f"{path.stem}{end}"


def _sheet(asked: Path | None, none: bool, for_programs: bool) -> Path | None:
    """Programs that read the result get a sheet when they ask for one."""
    return None if none else asked or (None if for_programs else DEFAULT_SHEET)


def _open(path: Path | None) -> None:
    if path is None:
        raise UsageError("--open shows a page or a contact sheet, and none was written. Add --html FILE.")
    typer.launch(str(path))


def _refuse_two_forms(forms: dict[str, bool]) -> None:
    given = [word for word, asked in forms.items() if asked]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} are two forms of an answer. Give one of them.")
