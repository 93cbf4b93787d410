"""Pictures as a terminal shows them: half blocks in any, sixel or kitty's graphics where it says it can.

Sources: DEC STD 070 for sixel; the terminal graphics protocol of kitty.
"""

import base64
import io
from collections.abc import Iterator

import numpy
from PIL import Image

Colour = tuple[int, int, int]
SIXEL_COLOURS = 255
BAND = 6
"""Rows of pixels that one line of sixels draws."""
FIRST_SIXEL = 63
PIECE = 4096
"""Letters of a picture that one of kitty's commands may carry."""


def half_blocks(picture: Image.Image, columns: int, rows: int) -> list[list[tuple[Colour, Colour]]]:
    """Lines of cells, each with the colours of its upper and lower half; within so many columns and rows.

    A cell is about twice as high as wide, so that a half is about square.
    """
    small = picture.convert("RGB")
    scale = min(columns / small.width, 2 * rows / small.height)
    width, height = max(1, round(small.width * scale)), max(2, 2 * round(small.height * scale / 2))
    pixels = numpy.asarray(small.resize((width, height), Image.Resampling.LANCZOS)).tolist()
    return [
        [(tuple(upper), tuple(lower)) for upper, lower in zip(*pair, strict=True)]
        for pair in zip(pixels[::2], pixels[1::2], strict=True)
    ]


def kitty(picture: Image.Image) -> str:
    """A picture for kitty's graphics protocol, shown where the cursor is."""
    held = io.BytesIO()
    picture.save(held, "PNG")
    data = base64.b64encode(held.getvalue()).decode("ascii")
    pieces = [data[start : start + PIECE] for start in range(0, len(data), PIECE)]
    drawn = []
    for number, piece in enumerate(pieces):
        first = "a=T,f=100," if number == 0 else ""
        drawn.append(f"\x1b_G{first}m={int(number + 1 < len(pieces))};{piece}\x1b\\")
    return "".join(drawn)


def sixel(picture: Image.Image) -> str:
    """A picture as sixels, in its best 255 colours."""
    reduced = picture.convert("RGB").quantize(SIXEL_COLOURS)
    pixels = numpy.asarray(reduced)
    palette = numpy.asarray(reduced.getpalette()).reshape(-1, 3)
    colours = "".join(
        f"#{place};2;{red};{green};{blue}"
        for place, (red, green, blue) in enumerate((palette * 100 / 255).round().astype(int).tolist())
    )
    height, width = pixels.shape
    bands = "-".join(_band(pixels[top : top + BAND]) for top in range(0, height, BAND))
    return f'\x1bPq"1;1;{width};{height}{colours}{bands}\x1b\\'


def _band(rows: numpy.ndarray) -> str:
    """Six rows: of each colour in turn, which pixels it has; back to the left edge after each."""
    bits = (1 << numpy.arange(len(rows)))[:, None]
    return "$".join(
        f"#{colour}" + "".join(_runs((((rows == colour) * bits).sum(axis=0) + FIRST_SIXEL).tolist()))
        for colour in numpy.unique(rows).tolist()
    )


def _runs(letters: list[int]) -> Iterator[str]:
    """Letters by number, equal neighbours counted instead of repeated."""
    start = 0
    for place in range(1, len(letters) + 1):
        if place == len(letters) or letters[place] != letters[start]:
            count, letter = place - start, chr(letters[start])
            yield f"!{count}{letter}" if count > 3 else letter * count
            start = place
