"""Hits as one HTML file: photos, ranks, scores and paths, to keep or to send.

Nothing is fetched: photos and style are in the file, and its policy forbids all else, scripts too.
"""

import base64
import html
import io
from collections.abc import Sequence

from PIL import Image

from mmx.reports.contact_sheet import Cell
from mmx.reports.lettering import printable

LONGEST, QUALITY = (480, 480), 82
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
STYLE = """
:root { color-scheme: light; }
body { margin: 0; background: #f7f7f5; color: #1c1c1e; font: 16px/1.45 system-ui, sans-serif; }
main { max-width: 1280px; margin: 0 auto; padding: 32px 20px 64px; }
h1 { font-size: 28px; line-height: 1.25; margin: 0 0 4px; overflow-wrap: anywhere; }
p { margin: 0; } .faint { color: #6a6a70; font-size: 14px; overflow-wrap: anywhere; }
ol { list-style: none; margin: 28px 0 0; padding: 0; display: grid; gap: 28px 24px;
  grid-template-columns: repeat(auto-fill, minmax(260px, 1fr)); }
figure { margin: 0; } figcaption { padding-top: 8px; overflow-wrap: anywhere; }
.frame { background: #e9e9e6; border-radius: 10px; aspect-ratio: 4 / 3; display: grid; overflow: hidden;
  place-items: center; color: #a3423a; text-align: center; padding: 0; }
.frame img { width: 100%; height: 100%; object-fit: contain; }
.head { display: flex; justify-content: space-between; align-items: baseline; }
.head b { font-size: 20px; }
@media print { ol { grid-template-columns: repeat(3, 1fr); } li { break-inside: avoid; } }
"""


def write_hits_page(title: str, subtitle: str, cells: Sequence[Cell], paths: Sequence[str]) -> str:
    """The page of some hits, with the path of each."""
    items = "\n".join(_item(cell, path) for cell, path in zip(cells, paths, strict=False))
    nothing = "" if cells else '<p class="faint">Nothing was found.</p>\n'
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        f'<h1>{_text(title)}</h1>\n<p class="faint">{_text(subtitle)}</p>\n'
        f"{nothing}<ol>\n{items}\n</ol>\n</main>\n</body>\n</html>\n"
    )


def _item(cell: Cell, path: str) -> str:
    if isinstance(cell.picture, str):
        inside = f"<p>no picture<br>{_text(cell.picture)}</p>"
    else:
        inside = f'<img alt="{_text(cell.caption)}" src="data:image/jpeg;base64,{_jpeg(cell.picture)}">'
    return (
        f'<li><figure><div class="frame">{inside}</div><figcaption>'
        f'<p class="head"><b>{cell.rank}</b><span class="faint">{cell.score:.3f}</span></p>'
        f'<p>{_text(cell.caption)}</p><p class="faint">{_text(path)}</p></figcaption></figure></li>'
    )


def _jpeg(picture: Image.Image) -> str:
    small = picture.copy()
    small.thumbnail(LONGEST)
    held = io.BytesIO()
    small.save(held, "JPEG", quality=QUALITY)
    return base64.b64encode(held.getvalue()).decode("ascii")


def _text(text: str) -> str:
    return html.escape(printable(text))
