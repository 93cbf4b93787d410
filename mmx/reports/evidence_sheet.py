"""Evidence as one picture: the photo, then a panel a word in which the regions it met stand out."""

import functools
import math
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont, ImageOps

from mmx.reports.evidence import Box, Evidence, Word, shades
from mmx.reports.lettering import FAINT, FRAME, INK, MISSING, PAPER, font, wrap

PANEL, SMALL_PANEL = (368, 276), (168, 126)
COLUMNS, SMALL_COLUMNS = 4, 8
MARGIN, GUTTER = 48, 24
MOST_WORDS = 24
"""Panels of a kind; the words beyond are in the page and in the JSON."""
MARK = "#e8622c"
DIMMED = 0.12
"""How much of a photo is left where a word has no weight."""
LINE = 25
"""From one line of the notes to the next."""
WIDTH = 2 * MARGIN + COLUMNS * PANEL[0] + (COLUMNS - 1) * GUTTER
NOTES_WIDTH = 2 * PANEL[0] + GUTTER


def draw_evidence(evidence: Evidence, subtitle: str, notes: Sequence[str]) -> Image.Image:
    """The photo, all words together, then each word; words of grammar and signs are small, at the end.

    Args:
        evidence: of one picture and one sentence.
        subtitle: a line under the sentence.
        notes: lines beside the photo that say how to read it.
    """
    title = wrap(evidence.caption, font(34, bold=True), WIDTH - 2 * MARGIN, 2)
    large = [word for word in evidence.words if word.kind == "word"]
    small = [word for word in evidence.words if word.kind != "word"]
    top = MARGIN + 46 * len(title) + 50
    beside = _places(notes)
    first = top + max(PANEL[1] + 44, beside[-1][0] + LINE if beside else 0) + GUTTER
    second = first + _height(large, COLUMNS, PANEL[1] + 44 + GUTTER)
    bottom = second + _height(small, SMALL_COLUMNS, SMALL_PANEL[1] + 32 + GUTTER)
    beyond = _beyond(large, small)
    sheet = Image.new("RGB", (WIDTH, bottom + (34 if beyond else 0) + MARGIN - GUTTER), PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, line in enumerate(title):
        draw.text((MARGIN, MARGIN - 8 + 46 * number), line, font=font(34, bold=True), fill=INK)
    for line in wrap(subtitle, font(20), WIDTH - 2 * MARGIN, 1):
        draw.text((MARGIN, top - 42), line, font=font(20), fill=FAINT)
    _draw_head(sheet, draw, evidence, beside, top)
    _draw_words(sheet, draw, evidence, large, first, small=False)
    _draw_words(sheet, draw, evidence, small, second, small=True)
    draw.text((MARGIN, bottom), beyond, font=font(18), fill=FAINT)
    return sheet


def shade(picture: Image.Image, boxes: Sequence[Box], weights: Sequence[float]) -> Image.Image:
    """The picture, pale but for the regions with weight; the one with most is outlined.

    Where regions overlap, the one with more weight is seen.
    """
    shown = shades(weights)
    light = Image.new("L", picture.size, round(255 * DIMMED))
    draw = ImageDraw.Draw(light)
    rising = sorted(range(len(shown)), key=lambda place: shown[place])
    frames = [_pixels(box, picture.size) for box in boxes]
    for place in rising:
        if shown[place] > 0:
            draw.rectangle(frames[place], fill=round(255 * (DIMMED + (1 - DIMMED) * shown[place])))
    pale = Image.blend(
        ImageOps.grayscale(picture).convert("RGB"), Image.new("RGB", picture.size, PAPER), 0.55
    )
    result = Image.composite(picture, pale, light)
    if rising and shown[rising[-1]] > 0:
        ImageDraw.Draw(result).rectangle(frames[rising[-1]], outline=MARK, width=max(2, picture.width // 120))
    return result


def _pixels(box: Box, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Fractions -> the pixels of both corners, the last ones inside the box, and at least one each way."""
    left, top = (min(round(edge * side), side - 1) for edge, side in zip(box[:2], size, strict=True))
    right, bottom = (round(edge * side) - 1 for edge, side in zip(box[2:], size, strict=True))
    return left, top, max(left, min(right, size[0] - 1)), max(top, min(bottom, size[1] - 1))


def _height(words: Sequence[Word], columns: int, row: int) -> int:
    return math.ceil(min(len(words), MOST_WORDS) / columns) * row


def _places(notes: Sequence[str]) -> list[tuple[int, str]]:
    """How far down each line of the notes stands."""
    places, height = [], 0
    for note in notes:
        for line in wrap(note, font(18), NOTES_WIDTH, 4):
            places.append((height, line))
            height += LINE
        height += LINE // 3
    return places


def _beyond(*kinds: Sequence[Word]) -> str:
    count = sum(max(0, len(words) - MOST_WORDS) for words in kinds)
    return f"{count:,} more words are in the page and in the JSON." if count else ""


def _draw_head(
    sheet: Image.Image,
    draw: ImageDraw.ImageDraw,
    evidence: Evidence,
    lines: Sequence[tuple[int, str]],
    top: int,
) -> None:
    """The photo, all words together, and what is to be known."""
    _draw_panel(sheet, draw, evidence, None, (MARGIN, top), PANEL)
    beside = MARGIN + PANEL[0] + GUTTER
    _draw_panel(sheet, draw, evidence, evidence.together(), (beside, top), PANEL)
    _write_under(draw, "the photo", "", (MARGIN, top), PANEL, 22)
    _write_under(draw, "all words together", "", (beside, top), PANEL, 22)
    for height, line in lines:
        draw.text((WIDTH - MARGIN - NOTES_WIDTH, top - 4 + height), line, font=font(18), fill=INK)


def _draw_words(
    sheet: Image.Image,
    draw: ImageDraw.ImageDraw,
    evidence: Evidence,
    words: Sequence[Word],
    top: int,
    small: bool,
) -> None:
    columns, panel, letters = (SMALL_COLUMNS, SMALL_PANEL, 16) if small else (COLUMNS, PANEL, 24)
    under = 32 if small else 44
    step = (WIDTH - 2 * MARGIN + GUTTER) // columns
    for number, word in enumerate(words[:MOST_WORDS]):
        row, column = divmod(number, columns)
        corner = (MARGIN + column * step, top + row * (panel[1] + under + GUTTER))
        _draw_panel(sheet, draw, evidence, word.weights, corner, panel)
        weight = f"{word.weight:+.3f}" if evidence.adds_up else ""
        _write_under(draw, word.name, weight, corner, panel, letters)


def _draw_panel(
    sheet: Image.Image,
    draw: ImageDraw.ImageDraw,
    evidence: Evidence,
    weights: Sequence[float] | None,
    corner: tuple[int, int],
    panel: tuple[int, int],
) -> None:
    """The photo in a frame, shaded by weights or as it is."""
    left, top = corner
    draw.rectangle((left, top, left + panel[0] - 1, top + panel[1] - 1), fill=FRAME)
    if isinstance(evidence.picture, str):
        for line in wrap(f"no picture: {evidence.picture}", font(16), panel[0] - 16, 1):
            draw.text((left + 8, top + panel[1] // 2), line, font=font(16), fill=MISSING, anchor="lm")
        return
    picture = ImageOps.contain(evidence.picture, panel, Image.Resampling.BICUBIC)
    if weights is not None:
        picture = shade(picture, evidence.boxes, weights)
    sheet.paste(picture, (left + (panel[0] - picture.width) // 2, top + (panel[1] - picture.height) // 2))


def _write_under(
    draw: ImageDraw.ImageDraw,
    name: str,
    number: str,
    corner: tuple[int, int],
    panel: tuple[int, int],
    letters: int,
) -> None:
    middle = corner[1] + panel[1] + 6 + letters * 2 // 3
    room = panel[0]
    if number:
        draw.text((corner[0] + panel[0], middle), number, font=_number(letters), fill=FAINT, anchor="rm")
        room -= math.ceil(_number(letters).getlength(number)) + 8
    for line in wrap(name, font(letters, bold=letters > 20), room, 1):
        draw.text((corner[0], middle), line, font=font(letters, bold=letters > 20), fill=INK, anchor="lm")


@functools.cache
def _number(letters: int) -> ImageFont.FreeTypeFont:
    return font(min(letters, 18) - 2)
