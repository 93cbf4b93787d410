"""What all HTML reports share: one file that fetches nothing, its pictures in it, its texts never mark-up."""

import base64
import html
import io

from PIL import Image

from mmx.reports.lettering import printable

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""What a page without a script may do: show what is in it."""


def write_html(title: str, style: str, body: str, policy: str = POLICY, script: str = "") -> str:
    """A whole page; the body and the script are mark-up already."""
    scripts = f"<script>{script}</script>\n" if script else ""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{as_text(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{as_text(title)}</h1>\n{body}\n</main>\n{scripts}</body>\n</html>\n"
    )


def as_text(words: str) -> str:
    """Words as mark-up that shows just them, without what no font draws."""
    return html.escape(printable(words))


def as_source(picture: Image.Image, quality: int) -> str:
    """A picture as the `src` of an image: a JPEG within the page."""
    held = io.BytesIO()
    picture.save(held, "JPEG", quality=quality)
    return f"data:image/jpeg;base64,{base64.b64encode(held.getvalue()).decode('ascii')}"
