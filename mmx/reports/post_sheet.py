"""A sheet of posts: the picture, what a model wrote of it, and what it drew of the words, side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageOps
from torch import Tensor

from mmx.reports.lettering import FAINT, FRAME, INK, MISSING, PAPER, font, wrap
from mmx.store.atomic import atomic_file

SIDE, MARGIN, GUTTER, WORDS = 224, 40, 24, 520
"""Pixels of a picture, about the sheet, between its parts, and of a column of words."""


@dataclass(frozen=True)
class PostCell:
    """One post, and what was made up of it."""

    text: str
    picture: Image.Image | str
    """The post's, or the reason why it cannot be shown."""
    written: str
    """Of the picture."""
    drawn: Tensor | None
    """[3, side, side] uint8, of the words; None where nothing draws."""


def draw_post_sheet(cells: Sequence[PostCell], path: Path) -> None:
    """Write the sheet as PNG, a row for each post; drawn pictures are shown pixel by pixel, enlarged.

    Raises:
        ResourceError: when it cannot be written.
    """
    width = 2 * MARGIN + 2 * SIDE + 2 * GUTTER + WORDS
    height = MARGIN + 40 + len(cells) * (SIDE + GUTTER) + MARGIN - GUTTER
    sheet = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(sheet)
    columns = (MARGIN, MARGIN + SIDE + GUTTER, MARGIN + SIDE + WORDS + 2 * GUTTER)
    heads = ("picture of the post", "its words, and what was written of the picture", "drawn from its words")
    for left, head in zip(columns, heads, strict=True):
        draw.text((left, MARGIN - 8), head, font=font(16), fill=FAINT)
    for number, cell in enumerate(cells):
        top = MARGIN + 40 + number * (SIDE + GUTTER)
        _show(sheet, draw, cell.picture, columns[0], top)
        lines = [(line, INK) for line in wrap(cell.text, font(19), WORDS, 4)]
        lines += [(line, FAINT) for line in wrap(cell.written or "(nothing written)", font(19), WORDS, 3)]
        for place, (line, colour) in enumerate(lines):
            gap = 14 if colour == FAINT else 0
            draw.text((columns[1], top + 27 * place + gap), line, font=font(19), fill=colour)
        _show(sheet, draw, "nothing drawn" if cell.drawn is None else _image(cell.drawn), columns[2], top)
    with atomic_file(path) as temporary:
        sheet.save(temporary, format="PNG")


def _image(pixels: Tensor) -> Image.Image:
    small = Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())
    return small.resize((SIDE, SIDE), Image.Resampling.NEAREST)


def _show(
    sheet: Image.Image, draw: ImageDraw.ImageDraw, shown: Image.Image | str, left: int, top: int
) -> None:
    if isinstance(shown, str):
        draw.rectangle((left, top, left + SIDE - 1, top + SIDE - 1), fill=FRAME)
        for place, line in enumerate(wrap(shown, font(16), SIDE - 20, 3)):
            draw.text((left + 10, top + 90 + 24 * place), line, font=font(16), fill=MISSING)
    else:
        sheet.paste(ImageOps.pad(shown, (SIDE, SIDE), Image.Resampling.BICUBIC, FRAME), (left, top))
