"""Pictures for a terminal: small ones beside the hits, or the whole contact sheet."""

from pathlib import Path

from mmx.reports.terminal_pictures import Colour, half_blocks, kitty, sixel
from mmx.store.images import ImageError, load_image

COLUMNS, ROWS = 24, 8
SHEET_WIDTH = 960
DRAWN = {"kitty": kitty, "sixel": sixel}


def thumbnail(path: str) -> list[list[tuple[Colour, Colour]]]:
    """The cells of a hit's picture; none where it cannot be read."""
    try:
        return half_blocks(load_image(Path(path), (8 * COLUMNS, 8 * COLUMNS)), COLUMNS, ROWS)
    except ImageError:
        return []


def drawn_sheet(path: Path, protocol: str) -> str:
    """A contact sheet as what a terminal of this protocol shows."""
    sheet = load_image(path)
    sheet.thumbnail((SHEET_WIDTH, sheet.height))
    return DRAWN[protocol](sheet)
