"""How the answers of a search are shown: a table with small pictures, paths, or lines of JSON."""

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mmx.cli.report import print_lines, print_table, standard_output
from mmx.cli.terminal import pictures_in_terminal
from mmx.core.present import present

if TYPE_CHECKING:
    from rich.text import Text

    from mmx.workflows.caption_qa import CaptionQaResult
    from mmx.workflows.search_result import Hit, SearchResult

UPPER_HALF = "▀"


def print_paths(results: "Sequence[SearchResult]", end: str) -> None:
    """The pictures that were found, each once, in the order of the queries."""
    paths = dict.fromkeys(hit.path for result in results for hit in result.hits)
    sys.stdout.write("".join(path + end for path in paths))


def print_json_lines(results: "Sequence[SearchResult]") -> None:
    """A line a hit, with the query that it answers."""
    for result in results:
        for hit in result.hits:
            line = {"query": {result.asked_with: result.query}, **hit.document()}
            sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")


def print_results(results: "Sequence[SearchResult]") -> None:
    """A table for each query, and what was written."""
    protocol = pictures_in_terminal()
    for result in results:
        _print_result(result, protocol)


def _print_result(result: "SearchResult", protocol: str) -> None:
    where = f"{result.size:,} {result.finds} of {', '.join(result.searched)}"
    title = f"'{result.query}' in {where}, by {result.made_by}"
    numbers = ("rank", "score") if result.rerank is None else ("rank", "score", "cosine")
    rows = [(*_numbers(hit)[: len(numbers)], _named(hit), hit.caption) for hit in result.hits]
    columns = (*numbers, "picture", "caption")
    if protocol == "half-blocks" or (protocol != "none" and result.sheet is None):
        _print_with_pictures(title, columns, rows, [hit.path for hit in result.hits], numbers)
    else:
        print_table(title, columns, rows, right=numbers)
        if protocol != "none":
            _print_sheet(result, protocol)
    if result.rerank is not None:
        top, weight = result.rerank["top"], result.rerank["weight"]
        print_lines(f"score: cosine + {weight:g} x the second stage's, of the {top:,} nearest by cosine")
    written = {"contact sheet": result.sheet, "page": result.page}
    print_lines(*(f"{what}: {path}" for what, path in written.items() if path is not None))
    print_lines(*(result.explained.lines if result.explained else []))


def _print_with_pictures(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    paths: Sequence[str],
    right: Sequence[str],
) -> None:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from mmx.workflows.thumbnails import thumbnail

    table = Table(title=title, title_justify="left", show_lines=True)
    for column in columns[:-1]:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    table.add_column(columns[-1], overflow="fold")
    for row, path in zip(rows, paths, strict=True):
        *first, name, caption = (Text(cell) for cell in row)
        table.add_row(*first, Group(*_lines(thumbnail(path)), name), caption)
    standard_output().print(table)


def _lines(cells: Sequence[Sequence[tuple[Any, Any]]]) -> "list[Text]":
    from rich.text import Text

    return [
        Text.assemble(
            *(
                (UPPER_HALF, f"rgb({','.join(map(str, upper))}) on rgb({','.join(map(str, lower))})")
                for upper, lower in line
            )
        )
        for line in cells
    ]


def _print_sheet(result: "SearchResult", protocol: str) -> None:
    from mmx.workflows.thumbnails import drawn_sheet

    sys.stdout.write(drawn_sheet(present(result.sheet), protocol) + "\n")


def _numbers(hit: "Hit") -> tuple[str, str, str]:
    """Rank, score and cosine; what the second stage did not look at has no score but its cosine."""
    cosine = hit.score if hit.cosine is None else hit.cosine
    return str(hit.rank), f"{hit.score:.3f}", f"{cosine:.3f}"


def _named(hit: "Hit") -> str:
    return f"{hit.id} (and {len(hit.duplicates):,} like it)" if hit.duplicates else hit.id


def print_captions(result: "CaptionQaResult") -> None:
    """The captions retrieved for a photo, in the order of their nearness to the question."""
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
