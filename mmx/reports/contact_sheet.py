"""Contact sheet: the hits of a search as one picture, with rank, score and caption under each."""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageOps

from mmx.reports.lettering import FAINT, FRAME, INK, MISSING, PAPER, font, wrap

MAX_CELLS = 100
PHOTO = (480, 360)
MARGIN, GUTTER, PADDING, RADIUS = 48, 32, 14, 10
CAPTION_LINES, TITLE_LINES = 3, 2


@dataclass(frozen=True)
class Cell:
    """One hit. `picture` is the photo, or the reason why it cannot be shown."""

    rank: int
    score: float
    picture: Image.Image | str
    caption: str


def draw_sheet(title: str, subtitle: str, cells: Sequence[Cell]) -> Image.Image:
    """The sheet: three columns up to nine hits, about as many columns as rows beyond; at most 100 hits."""
    cells = cells[:MAX_CELLS]
    columns = min(max(len(cells), 2), 3) if len(cells) <= 9 else math.ceil(math.sqrt(len(cells)))
    width = 2 * MARGIN + columns * PHOTO[0] + (columns - 1) * GUTTER
    title_lines = wrap(title, font(38, bold=True), width - 2 * MARGIN, TITLE_LINES)
    rows = [cells[start : start + columns] for start in range(0, len(cells), columns)]
    captions = [[wrap(cell.caption, font(20), PHOTO[0], CAPTION_LINES) for cell in row] for row in rows]
    text_heights = [52 + 28 * max(len(lines) for lines in row) + GUTTER for row in captions]
    top = MARGIN + 52 * len(title_lines) + 56
    height = top + sum(PHOTO[1] + text for text in text_heights) + (MARGIN - GUTTER if rows else MARGIN)
    sheet = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(sheet)
    _write_head(draw, title_lines, wrap(subtitle, font(20), width - 2 * MARGIN, 1))
    for row, lines, text_height in zip(rows, captions, text_heights, strict=True):
        for column, cell in enumerate(row):
            _draw_cell(sheet, draw, cell, lines[column], MARGIN + column * (PHOTO[0] + GUTTER), top)
        top += PHOTO[1] + text_height
    return sheet


def _write_head(draw: ImageDraw.ImageDraw, title: Sequence[str], subtitle: Sequence[str]) -> None:
    top = MARGIN - 10
    for line in title:
        draw.text((MARGIN, top), line, font=font(38, bold=True), fill=INK)
        top += 52
    for line in subtitle:
        draw.text((MARGIN, top + 4), line, font=font(20), fill=FAINT)


def _draw_cell(
    sheet: Image.Image, draw: ImageDraw.ImageDraw, cell: Cell, lines: Sequence[str], left: int, top: int
) -> None:
    frame = (left, top, left + PHOTO[0] - 1, top + PHOTO[1] - 1)
    if isinstance(cell.picture, str):
        draw.rounded_rectangle(frame, RADIUS, fill=FRAME, outline=MISSING, width=2)
        _write_missing(draw, cell.picture, left, top)
    else:
        sheet.paste(
            ImageOps.pad(cell.picture, PHOTO, Image.Resampling.BICUBIC, FRAME), (left, top), _rounded()
        )
    middle = top + PHOTO[1] + PADDING + 14
    draw.text((left, middle), str(cell.rank), font=font(26, bold=True), fill=INK, anchor="lm")
    draw.text((left + PHOTO[0], middle), f"{cell.score:.3f}", font=font(20), fill=FAINT, anchor="rm")
    for number, line in enumerate(lines):
        draw.text((left, middle + 22 + 28 * number), line, font=font(20), fill=INK)


def _write_missing(draw: ImageDraw.ImageDraw, reason: str, left: int, top: int) -> None:
    middle = (left + PHOTO[0] // 2, top + PHOTO[1] // 2)
    draw.text((middle[0], middle[1] - 18), "no picture", font=font(26, bold=True), fill=MISSING, anchor="mm")
    for line in wrap(reason, font(20), PHOTO[0] - 2 * MARGIN, 1):
        draw.text((middle[0], middle[1] + 18), line, font=font(20), fill=FAINT, anchor="mm")


@functools.cache
def _rounded() -> Image.Image:
    """A mask of a photo's size with round corners."""
    mask = Image.new("L", PHOTO, 0)
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, PHOTO[0] - 1, PHOTO[1] - 1), RADIUS, fill=255)
    return mask
