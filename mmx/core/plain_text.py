"""Text as people leave it in files: its encoding found by rule, its captions made one clean line."""

import codecs
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from mmx.core.errors import DataError

BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
SAMPLE = 4096
SHARE_OF_ZEROS = 0.3
LONGEST_CAPTION = 10_000


@dataclass(frozen=True)
class DecodedText:
    """A file's text, and what had to be done to read it."""

    text: str
    encoding: str
    """`utf-8`, `utf-8 with a byte-order mark`, `utf-16-le` and so on, or `mixed` with Latin-1 lines."""
    odd_lines: int = 0
    """Lines that were not UTF-8 and were read as Windows-1252, or Latin-1 where that has no letter."""


def decode(raw: bytes) -> DecodedText:
    """The text of a file: by its byte-order mark, else UTF-16 when full of zeros, else UTF-8 line by line."""
    for mark, encoding in BYTE_ORDER_MARKS:
        if raw.startswith(mark):
            text = raw[len(mark) :].decode(encoding, errors="replace")
            return DecodedText(text, "utf-8 with a byte-order mark" if encoding == "utf-8" else encoding)
    sample = raw[:SAMPLE]
    for start, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        if sample and sample[start::2].count(0) > SHARE_OF_ZEROS * len(sample):
            return DecodedText(raw.decode(encoding, errors="replace"), encoding)
    try:
        return DecodedText(raw.decode("utf-8"), "utf-8")
    except UnicodeDecodeError:
        return _decode_lines(raw)


def read_text(path: Path) -> tuple[str, list[str]]:
    """The text of a file, and a remark when it is not plain UTF-8.

    Raises:
        DataError: when it cannot be read.
    """
    try:
        decoded = decode(path.read_bytes())
    except OSError as error:
        raise DataError(f"'{path}' cannot be read: {error.strerror}. Look at its rights.") from error
    if decoded.encoding == "utf-8":
        return decoded.text, []
    if decoded.odd_lines:
        return decoded.text, [f"'{path.name}': {decoded.odd_lines} lines are not UTF-8; read as Windows-1252"]
    return decoded.text, [f"'{path.name}' is in {decoded.encoding}"]


def clean_caption(caption: str) -> str:
    """One line: tabs, newlines and other white space become single spaces; control characters go.

    Raises:
        ValueError: with the reason: nothing is left, it is too long, or it holds half a character.
    """
    line = " ".join("".join(char if _is_kept(char) else " " for char in caption).split())
    if not line:
        raise ValueError("empty caption")
    if len(line) > LONGEST_CAPTION:
        raise ValueError(f"caption of {len(line):,} characters; at most {LONGEST_CAPTION:,} are taken")
    if any("\ud800" <= char <= "\udfff" for char in line):
        raise ValueError("caption with a lone surrogate (half a character)")
    return line


def _is_kept(char: str) -> bool:
    return char >= " " and (char < "\x7f" or unicodedata.category(char) != "Cc")


def _decode_lines(raw: bytes) -> DecodedText:
    lines, odd = [], 0
    for line in raw.split(b"\n"):
        try:
            lines.append(line.decode("utf-8"))
        except UnicodeDecodeError:
            odd += 1
            lines.append(_decode_western(line))
    return DecodedText("\n".join(lines), "mixed", odd)


def _decode_western(line: bytes) -> str:
    try:
        return line.decode("cp1252")
    except UnicodeDecodeError:
        return line.decode("latin-1")
