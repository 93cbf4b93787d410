"""One's own posts in a table: a text each, maybe a picture, and its sentiment or a tag for each word."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmx.core.corpus import Reading
from mmx.core.record import Record
from mmx.workflows.own_columns import SPLIT_WORDS

COLUMNS = ("tags", "sentiment")
TEXT_COLUMNS = ("text", "caption", "sentence")
Row = tuple[str, Mapping[str, Any]]


def about_posts(columns: Iterable[str]) -> bool:
    """Whether a table's columns say what posts are labelled with."""
    return bool(set(COLUMNS) & set(columns))


def read_own_posts(tables: Sequence[tuple[str | None, Iterable[Row]]], folder: Path) -> Reading:
    """Records of posts; those whose table and row name no split have split ''.

    Args:
        tables: the split that each table is named after, and its rows with the place each comes from.
        folder: what the pictures' paths are relative to.
    """
    records, rejects = [], []
    for split, rows in tables:
        for source, row in rows:
            try:
                records.append(_record(source, row, split))
            except ValueError as error:
                value = json.dumps({name: str(cell)[:80] for name, cell in row.items()}, ensure_ascii=False)
                rejects.append({"source": source, "value": value, "reason": str(error)})
    remark = "read as posts: text or words, image, tags or sentiment"
    return Reading(records, folder, remarks=(remark,), rejects=rejects, pictures_optional=True)


def _record(source: str, row: Mapping[str, Any], split: str | None) -> Record:
    """One post.

    Raises:
        ValueError: with the reason why it cannot be used.
    """
    text = next(
        (row[name] for name in TEXT_COLUMNS if isinstance(row.get(name), str) and row[name].strip()), ""
    )
    tags = _list(row, "tags")
    words = (_list(row, "words") or tuple(text.split())) if tags else ()
    if not text and not words:
        raise ValueError("no text")
    if len(tags) != len(words):
        raise ValueError(f"{len(tags)} tags for {len(words)} words")
    wrong = next((tag for tag in tags if tag != "O" and not (tag[:2] in ("B-", "I-") and tag[2:])), None)
    if wrong is not None:
        raise ValueError(f"unknown tag '{wrong}' (there are O, and B- and I- before a type)")
    sentiment = str(row.get("sentiment") or "").strip().lower() or None
    if not tags and sentiment is None:
        raise ValueError("neither tags nor a sentiment")
    given = str(row.get("split") or "").strip()
    image = row.get("image")
    return Record(
        id=str(row.get("id") or source),
        split=SPLIT_WORDS.get(given.lower(), given) if given else split or "",
        image=image.strip() if isinstance(image, str) and image.strip() else None,
        captions=(text or " ".join(words),),
        words=words,
        tags=tags,
        sentiment=sentiment,
    )


def _list(row: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """A list of words, as JSON has it, or written with spaces between them in a CSV."""
    cell = row.get(name)
    if isinstance(cell, str):
        cell = cell.split()
    if cell is None:
        return ()
    if not isinstance(cell, list) or not all(isinstance(part, str) and part for part in cell):
        raise ValueError(f"'{name}' is no list of words")
    return tuple(cell)
