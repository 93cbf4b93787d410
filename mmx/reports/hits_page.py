"""Hits as one HTML file: photos, ranks, scores and paths, to keep or to send."""

from collections.abc import Sequence

from mmx.reports.contact_sheet import Cell
from mmx.reports.html_page import as_source, as_text, write_html

LONGEST, QUALITY = (480, 480), 82
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
    about = f'<p class="faint">{as_text(subtitle)}</p>'
    return write_html(title, STYLE, f"{about}\n{nothing}<ol>\n{items}\n</ol>")


def _item(cell: Cell, path: str) -> str:
    if isinstance(cell.picture, str):
        inside = f"<p>no picture<br>{as_text(cell.picture)}</p>"
    else:
        small = cell.picture.copy()
        small.thumbnail(LONGEST)
        inside = f'<img alt="{as_text(cell.caption)}" src="{as_source(small, QUALITY)}">'
    return (
        f'<li><figure><div class="frame">{inside}</div><figcaption>'
        f'<p class="head"><b>{cell.rank}</b><span class="faint">{cell.score:.3f}</span></p>'
        f'<p>{as_text(cell.caption)}</p><p class="faint">{as_text(path)}</p></figcaption></figure></li>'
    )
