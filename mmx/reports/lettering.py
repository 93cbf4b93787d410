"""Letters and colours of drawn reports: one family of type, lines that fit, nothing that no font can draw."""

import functools
import math
import unicodedata
from importlib.util import find_spec
from pathlib import Path

from PIL import ImageFont

from mmx.core.present import present

# Its letters alone are wanted: to import it takes longer than to draw a sheet.
FONTS = Path(present(present(find_spec("matplotlib")).origin)).parent / "mpl-data" / "fonts" / "ttf"
MAX_LETTERS = 2000
"""Words beyond this are not even measured: no line on a sheet is that long."""

PAPER, FRAME, INK, FAINT, MISSING = "#f7f7f5", "#e9e9e6", "#1c1c1e", "#77777c", "#b0483f"


@functools.cache
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """The type of all drawn reports, in a size in pixels."""
    return ImageFont.truetype(FONTS / ("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"), size)


def wrap(text: str, face: ImageFont.FreeTypeFont, width: int, most: int) -> list[str]:
    """The text in at most so many lines of a width in pixels; what is left over becomes an ellipsis."""
    words = printable(text[:MAX_LETTERS]).split()
    lines: list[str] = []
    while words and len(lines) < most:
        line = words.pop(0)
        fits = _letters_that_fit(line, face, width)
        if fits < len(line):
            line, rest = line[:fits], line[fits:]
            words.insert(0, rest)
        else:
            while words and face.getlength(f"{line} {words[0]}") <= width:
                line = f"{line} {words.pop(0)}"
        lines.append(line)
    if words and lines:
        lines[-1] = _with_ellipsis(lines[-1], face, width)
    return lines


def printable(text: str) -> str:
    """The text without what no font draws: control signs become spaces, joiners and lone surrogates go."""
    kept = (" " if unicodedata.category(letter) == "Cc" else letter for letter in text)
    return "".join(
        letter
        for letter in kept
        if unicodedata.category(letter) not in {"Cf", "Cs"} and ord(letter) != 0xFE0F
    )


def _letters_that_fit(line: str, face: ImageFont.FreeTypeFont, width: int) -> int:
    """How many letters of a line fit into a width; at least one."""
    low, high = 1, len(line)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if face.getlength(line[:middle]) <= width else (low, middle - 1)
    return low


def _with_ellipsis(line: str, face: ImageFont.FreeTypeFont, width: int) -> str:
    room = _letters_that_fit(line, face, width - math.ceil(face.getlength("…")))
    return line[:room].rstrip() + "…"
