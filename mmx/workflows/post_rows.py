"""New posts from a table: their words, their pictures, and what is wrong with them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from mmx.core.errors import DataError
from mmx.core.record import Record
from mmx.store.image_paths import path_inside, relative_path
from mmx.store.images import ImageError
from mmx.store.inspection import inspect_picture
from mmx.store.tables import SUFFIXES, read_table
from mmx.workflows.own_posts import TEXT_COLUMNS

WORD = re.compile(r"https?://\S+|\w+(?:['’.-]\w+)*|[^\w\s]")
"""A word of a post as the published corpora cut them: marks such as @ and # stand alone, links are whole."""


@dataclass(frozen=True)
class NewPost:
    """One post that nobody has labelled."""

    record: Record
    text: str
    spans: tuple[tuple[int, int], ...]
    """Where each word begins and ends in the text."""
    picture: Path | None
    problem: str = ""
    """Why a picture that was named is not read."""


def read_posts(path: Path) -> list[NewPost]:
    """The posts of a table with a column `text` (or a list `words`), and maybe one `image`, relative to it.

    Raises:
        DataError: when the file cannot be read, a row has no text, or a path leads out of the folder.
    """
    if path.suffix.lower() not in SUFFIXES or path.suffix.lower() == ".parquet" or not path.is_file():
        what = "is no table of posts" if path.exists() else "is not there"
        raise DataError(
            f"'{path}' {what}. Give a .jsonl or .csv file with a row for each post: text, and maybe image."
        )
    table = read_table(path)
    if table.rejects:
        first = table.rejects[0]
        raise DataError(f"'{first['source']}' in '{path}': {first['reason']}. Mend it, or take it out.")
    if not table.rows:
        raise DataError(f"'{path}' holds no post. Write a row for each: text, and maybe image.")
    return [_post(number, source, row, path) for number, (source, row) in enumerate(table.rows)]


def _post(number: int, source: str, row: Mapping[str, Any], path: Path) -> NewPost:
    text, spans = _words_of(row, source)
    words = tuple(text[begin:end] for begin, end in spans)
    picture, problem = _picture_of(row, source, path.parent)
    name = str(row.get("id") or number)
    record = Record(name, "test", None if picture is None else picture.name, (text,), words=words)
    return NewPost(record, text, spans, picture, problem)


def _words_of(row: Mapping[str, Any], source: str) -> tuple[str, tuple[tuple[int, int], ...]]:
    words = row.get("words")
    if isinstance(words, list) and words and all(isinstance(word, str) and word for word in words):
        ends = accumulate(len(word) + 1 for word in words)
        places = ((end - len(word) - 1, end - 1) for word, end in zip(words, ends, strict=True))
        return " ".join(words), tuple(places)
    text = next((row[name] for name in TEXT_COLUMNS if isinstance(row.get(name), str)), "")
    spans = tuple(found.span() for found in WORD.finditer(text))
    if not spans:
        raise DataError(
            f"'{source}' has no text: a row needs `text`, with at least one word. It has: {', '.join(row)}."
        )
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise DataError(f"'{source}' holds a lone surrogate (half a character). Write the text again.")
    return text, spans


def _picture_of(row: Mapping[str, Any], source: str, folder: Path) -> tuple[Path | None, str]:
    named = row.get("image")
    if not isinstance(named, str) or not named.strip():
        return None, ""
    try:
        path = path_inside(str(folder.resolve()), relative_path(named))
    except ValueError as error:
        raise DataError(f"'{source}': the picture '{named}' is refused: {error}.") from error
    try:
        inspect_picture(path)
    except ImageError as error:
        return None, f"{named}: {error}"
    return path, ""
