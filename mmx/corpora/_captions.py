"""Captions by image name in four published forms: token file, CSV, CSV with pipes, JSON dictionary."""

import csv
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmx.core.errors import DataError
from mmx.core.plain_text import read_text
from mmx.core.record import Record
from mmx.corpora._raw_folder import read_json, read_lines

TOKEN = re.compile(r"^(?P<name>.+)#(?P<number>\d+)(?P<separator>\t| +)(?P<caption>.*)$")
PIPES = re.compile(r"^(?P<name>[^|]+)\|\s*(?P<number>\d+)\s*\|(?P<caption>.*)$")
LOST_PIPE = re.compile(r"^(?P<name>[^|]+)\|\s*(?P<number>\d+)\s+(?P<caption>[^|]+)$")
KEYED_BY_IMAGE = "an object with a key for each image"


@dataclass
class CaptionTable:
    """The captions of each image, in the order of their numbers, and what was odd."""

    captions: dict[str, list[str]] = field(default_factory=dict)
    rejects: list[dict[str, Any]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def leave_out(self, path: Path, line: int, value: str, reason: str) -> None:
        """Note a row that cannot be used."""
        self.rejects.append({"source": f"{path.name}:{line}", "value": value, "reason": reason})

    def add(self, name: str, caption: str) -> None:
        """One more caption of an image."""
        self.captions.setdefault(name, []).append(caption)


def records_of(names: Iterable[str], split: str, table: CaptionTable) -> list[Record]:
    """A record for each image name, its id the name without its ending."""
    return [Record(Path(name).stem, split, name, tuple(table.captions[name])) for name in names]


def read_token_file(path: Path) -> CaptionTable:
    """`name#k TAB caption`, no header."""
    lines, remarks = read_lines(path)
    table = CaptionTable(remarks=remarks)
    for number, line in enumerate(lines, start=1):
        match = TOKEN.match(line)
        if match:
            table.add(match["name"].strip(), match["caption"])
        elif line.strip():
            table.leave_out(path, number, line, "not of the form name#number TAB caption")
    return table


def read_caption_csv(path: Path) -> CaptionTable:
    """`image,caption` with a header and CSV quoting."""
    text, remarks = read_text(path)
    table = CaptionTable(remarks=remarks)
    rows = csv.reader(io.StringIO(text, newline=""))
    for row in _checked_rows(rows, path):
        if len(row) == 2 and row != ["image", "caption"]:
            table.add(row[0].strip(), row[1])
        elif len(row) > 2:
            # Some copies were written without quotes: what follows the first comma is the caption.
            table.add(row[0].strip(), ",".join(row[1:]))
        elif row and row != ["image", "caption"]:
            table.leave_out(path, rows.line_num, ",".join(row), "no caption in the row")
    return table


def read_pipe_csv(path: Path) -> CaptionTable:
    """`image_name| comment_number| comment` with a header; no quoting. One row lacks its last pipe."""
    lines, remarks = read_lines(path)
    table = CaptionTable(remarks=remarks)
    for number, line in enumerate(lines, start=1):
        match = PIPES.match(line) or LOST_PIPE.match(line)
        if match:
            table.add(match["name"].strip(), match["caption"].strip())
            if not PIPES.match(line):
                table.remarks.append(f"'{path.name}' line {number} lacks a pipe; read all the same")
        elif line.strip() and not line.lower().startswith("image_name"):
            table.leave_out(path, number, line, "not of the form name| number| caption")
    return table


def read_caption_dict(path: Path) -> CaptionTable:
    """`{"name.jpg": [captions...]}`; in one form the last string is the picture's path and no caption.

    Raises:
        DataError: when it is no such dictionary.
    """
    table = CaptionTable()
    images, _ = read_json(path, dict, KEYED_BY_IMAGE)
    for name, captions in images.items():
        if not isinstance(captions, list) or not all(isinstance(caption, str) for caption in captions):
            table.leave_out(path, 1, name, "its value is not a list of captions")
            continue
        table.captions[name] = [caption for caption in captions if not _is_path_of(caption, name)]
    return table


def listed_records(path: Path, split: str, table: CaptionTable) -> tuple[list[Record], list[str]]:
    """Records of the names in a list of one split, one a line, each once (bare ids get `.jpg`); remarks."""
    lines, remarks = read_lines(path)
    names = [line.strip() for line in lines if line.strip()]
    once = list(dict.fromkeys(names))
    if len(once) < len(names):
        remarks.append(f"'{path.name}': {len(names) - len(once)} names stand there twice")
    spelled = [
        next((form for form in (name, f"{name}.jpg") if form in table.captions), None) for name in once
    ]
    strange = [name for name, form in zip(once, spelled, strict=True) if form is None]
    if strange:
        remarks.append(f"'{path.name}': {len(strange)} names have no captions, such as '{strange[0]}'")
    return records_of(filter(None, spelled), split, table), remarks


def _checked_rows(rows: Iterator[list[str]], path: Path) -> Iterator[list[str]]:
    try:
        yield from rows
    except csv.Error as error:
        raise DataError(f"'{path}' is not CSV that can be read ({error}). Fetch it again.") from error


def _is_path_of(caption: str, name: str) -> bool:
    return caption == name or caption.endswith(f"/{name}")
