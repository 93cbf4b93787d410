"""From rows with named columns to records: which column means what, and which rows are one picture."""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from mmx.core.errors import DataError
from mmx.core.record import Record
from mmx.store.image_paths import relative_path
from mmx.workflows.findings import LONGEST_VALUE

MEANINGS = {
    "image": (
        "image", "image_path", "img_path", "file_name", "filename", "filepath", "file_path", "image_name",
        "image_file", "img", "photo", "picture", "path", "file", "jpg", "png",
    ),
    "caption": (
        "caption", "captions", "text", "texts", "sentence", "sentences", "description", "comment", "title",
    ),
    "split": ("split", "set", "subset", "partition"),
    "label": ("label", "class", "category", "class_name", "classname", "labels"),
    "identity": ("identity", "person_id", "pid", "identity_id"),
    "id": ("id", "image_id", "img_id", "key", "uid"),
}  # fmt: skip
SPLIT_WORDS = {
    "train": "train", "training": "train", "restval": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test", "eval": "test",
}  # fmt: skip
ENDINGS = {b"\xff\xd8": ".jpg", b"\x89PNG": ".png", b"GIF8": ".gif", b"BM": ".bmp", b"RIFF": ".webp"}
UNPACKED = "unpacked"
PICTURE_FOLDERS = ("images", "Images", "img", "imgs", "photos", "pictures")


@dataclass
class Gathered:
    """What the rows say of one picture of one split."""

    image: str
    split: str | None
    source: str
    captions: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    label: str | None = None
    identity: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)


class Gatherer:
    """Reads row after row and keeps one entry a picture; pictures within rows are written to a folder."""

    def __init__(self, columns: Mapping[str, str], workplace: Path, names_only: bool = False) -> None:
        """Take columns by meaning, a folder to unpack to, and whether paths lead through a foreign folder."""
        self._columns = columns
        self._names_only = names_only
        self._folder = workplace / UNPACKED
        self._found: dict[tuple[str, str | None], Gathered] = {}
        self.rejects: list[dict[str, Any]] = []
        self.unpacked = 0

    def add(self, source: str, row: Mapping[str, Any], split: str | None) -> None:
        """Take in one row; `split` is that of its file, used when the row names none."""
        image = self._image(row)
        if image is None:
            value = json.dumps(
                {name: str(cell)[:LONGEST_VALUE] for name, cell in row.items()}, ensure_ascii=False
            )
            self.rejects.append({"source": source, "value": value, "reason": "no picture in the row"})
            return
        try:
            image = relative_path(PurePosixPath(image).name if self._names_only else image)
        except ValueError as error:
            self.rejects.append({"source": source, "value": image, "reason": str(error)})
            return
        split = self._split(row) if "split" in self._columns else split
        entry = self._found.setdefault((image, split), Gathered(image, split, source))
        entry.captions += self._captions(row)
        for name in ("label", "identity"):
            told = _text(self._cell(row, name))
            if told is not None:
                setattr(entry, name, told)
        given_id = _text(self._cell(row, "id"))
        if given_id is not None:
            entry.ids.append(given_id)
        known = set(self._columns.values())
        entry.extra.update(
            {name: cell for name, cell in row.items() if name not in known and _is_plain(cell)}
        )

    @property
    def root(self) -> Path | None:
        """Where unpacked pictures lie; None when every row named a file."""
        return self._folder if self.unpacked else None

    def records(self, class_names: Iterable[str]) -> tuple[list[Record], tuple[str, ...]]:
        """One record a picture, and what the labels mean. A record without a split has split ''."""
        entries = list(self._found.values())
        classes = tuple(class_names) or _in_order(entry.label for entry in entries)
        labels = {name: place for place, name in enumerate(classes)}
        persons = {name: place for place, name in enumerate(_in_order(entry.identity for entry in entries))}
        records = []
        for entry in entries:
            if entry.label is not None and entry.label not in labels:
                reason = f"label '{entry.label}' is none of the {len(classes)} classes"
                self.rejects.append({"source": entry.source, "value": entry.image, "reason": reason})
                continue
            records.append(_record(entry, labels.get(entry.label or ""), persons.get(entry.identity or "")))
        return records, classes

    def _cell(self, row: Mapping[str, Any], meaning: str) -> Any:
        return row.get(self._columns[meaning]) if meaning in self._columns else None

    def _split(self, row: Mapping[str, Any]) -> str:
        given = str(self._cell(row, "split") or "").strip()
        return SPLIT_WORDS.get(given.lower(), given or "(none)")

    def _image(self, row: Mapping[str, Any]) -> str | None:
        cell = self._cell(row, "image")
        path, content = (cell.get("path"), cell.get("bytes")) if isinstance(cell, Mapping) else (cell, None)
        content = path if isinstance(path, bytes) else content
        if content:
            return self._unpack(content)
        return path if isinstance(path, str) and path.strip() else None

    def _unpack(self, content: bytes) -> str:
        """Write a picture under the hash of its bytes, so that equal ones are one."""
        ending = next((ending for mark, ending in ENDINGS.items() if content.startswith(mark)), ".img")
        name = hashlib.blake2b(content, digest_size=12).hexdigest() + ending
        folder = self._folder / name[:2]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
        self.unpacked += 1
        return f"{name[:2]}/{name}"

    def _captions(self, row: Mapping[str, Any]) -> list[str]:
        cell = self._cell(row, "caption")
        if isinstance(cell, str) and cell.lstrip().startswith("["):
            cell = _parsed_list(cell)
        captions = cell if isinstance(cell, list | tuple) else [cell]
        texts = [_sentence(caption) for caption in captions if caption is not None]
        if _text(self._cell(row, "label")) is not None:
            # A labelled picture needs no caption: an empty cell says there is none.
            texts = [text for text in texts if text.strip()]
        return texts


def find_columns(names: Iterable[str], given: Mapping[str, str], source: str) -> dict[str, str]:
    """Which column has which meaning.

    Args:
        names: the columns there are.
        given: meaning -> column, as far as a person has said so; an empty word says nothing.
        source: the file, for messages.

    Raises:
        DataError: when there is no column of pictures, or a column that was named is not there.
    """
    there = {name.strip().lower().replace(" ", "_"): name for name in names}
    listed = ", ".join(there.values()) or "none"
    columns: dict[str, str] = {}
    for meaning, words in MEANINGS.items():
        named = given.get(meaning)
        if named and named not in there.values():
            raise DataError(f"'{source}' has no column '{named}'. There are: {listed}.")
        found = named or next((there[word] for word in words if word in there), None)
        if found and found not in columns.values():
            columns[meaning] = found
    if "image" not in columns:
        raise DataError(
            f"'{source}' has no column of pictures. There are: {listed}. Name it: --set image=COLUMN"
        )
    if not {"caption", "label"} & columns.keys():
        raise DataError(
            f"'{source}' has neither captions nor labels. There are: {listed}. Name it: --set caption=COLUMN"
        )
    return columns


def _record(entry: Gathered, label: int | None, identity: int | None) -> Record:
    same_id = len(set(entry.ids)) == 1
    return Record(
        id=entry.ids[0] if same_id else entry.image,
        split=entry.split or "",
        image=entry.image,
        captions=tuple(entry.captions),
        label=label if entry.label is not None else None,
        identity=identity if entry.identity is not None else None,
        extra=entry.extra,
    )


def _in_order(values: Iterable[str | None]) -> tuple[str, ...]:
    """Each value once: numbers by size, words by the alphabet."""
    once = {value for value in values if value is not None}
    return tuple(
        sorted(once, key=lambda word: (not word.isdigit(), int(word) if word.isdigit() else 0, word))
    )


def _text(cell: Any) -> str | None:
    return None if cell is None or str(cell).strip() == "" else str(cell).strip()


def _sentence(caption: Any) -> str:
    return str(caption.get("raw", caption)) if isinstance(caption, Mapping) else str(caption)


def _parsed_list(cell: str) -> list[Any] | str:
    try:
        parsed = json.loads(cell)
    except ValueError:
        return cell
    return parsed if isinstance(parsed, list) else cell


def _is_plain(cell: Any) -> bool:
    """Whether a cell of no known meaning is kept: short words and whole or finite numbers."""
    if isinstance(cell, float):
        return math.isfinite(cell)
    return isinstance(cell, int) or (isinstance(cell, str) and 0 < len(cell) <= LONGEST_VALUE)
