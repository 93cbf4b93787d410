"""Evidence as one HTML file: point at a word, and the regions that it met stand out on the photo.

Photos, style and script are in the file. Every text is escaped, and the numbers go through JSON.
"""

import json
from collections.abc import Sequence

from PIL import Image

from mmx.reports.evidence import Evidence, Word, shades
from mmx.reports.evidence_sheet import MARK
from mmx.reports.html_page import as_source, as_text, write_html

LONGEST = (960, 720)
"""A photo is embedded no larger than this."""
QUALITY = 85
STRONGEST = 0.62
"""Opacity of the veil over a region without weight."""

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
STYLE = """
:root { color-scheme: light; }
body { margin: 0; background: #f7f7f5; color: #1c1c1e; font: 17px/1.5 system-ui, sans-serif; }
main { max-width: 1000px; margin: 0 auto; padding: 32px 20px 64px; }
h1 { font-size: 26px; margin: 0; } h2 { font-size: 22px; margin: 40px 0 8px; }
p { margin: 6px 0; } .faint { color: #6a6a70; overflow-wrap: anywhere; }
.words { margin: 14px 0; line-height: 2.1; }
.words button { font: inherit; color: inherit; border: 0; border-bottom: 3px solid transparent;
  border-radius: 4px; padding: 1px 7px; margin: 0 1px; cursor: pointer; background: #e9e9e6; }
.words button.stop, .words button.special { font-size: 14px; background: #f0f0ee; color: #6a6a70; }
.words button[aria-pressed=true] { border-bottom-color: MARK; background: #ffe7db; color: #1c1c1e; }
figure { margin: 0; position: relative; display: inline-block; max-width: 100%; }
figure img { display: block; max-width: 100%; height: auto; }
figure svg { position: absolute; inset: 0; width: 100%; height: 100%; }
.said { min-height: 1.6em; }
""".replace("MARK", MARK)
SCRIPT = """
for (const section of document.querySelectorAll("section")) {
  const data = JSON.parse(section.querySelector("script").textContent);
  const svg = section.querySelector("svg"), said = section.querySelector(".said");
  const buttons = [...section.querySelectorAll("button")];
  let kept = -1;
  const draw = (tag, box, values) => {
    const shape = document.createElementNS("http://www.w3.org/2000/svg", tag);
    const [x1, y1, x2, y2] = box;
    const all = {x: x1, y: y1, width: x2 - x1, height: y2 - y1, ...values};
    for (const [name, value] of Object.entries(all)) shape.setAttribute(name, value);
    return shape;
  };
  const show = (place) => {
    buttons.forEach((button, other) => button.setAttribute("aria-pressed", other === place));
    svg.replaceChildren();
    said.textContent = place < 0 ? data.hint : data.said[place];
    if (place < 0) return;
    const shown = data.shades[place], best = shown.indexOf(Math.max(...shown));
    const mask = draw("rect", [0, 0, 1, 1], {fill: "#fff"});
    const holes = document.createElementNS("http://www.w3.org/2000/svg", "mask");
    holes.id = data.mask;
    holes.append(mask);
    [...shown.keys()].sort((a, b) => shown[a] - shown[b]).forEach((region) => {
      if (shown[region] > 0) {
        const grey = Math.round(255 * (1 - shown[region]));
        holes.append(draw("rect", data.boxes[region], {fill: `rgb(${grey},${grey},${grey})`}));
      }
    });
    svg.append(holes, draw("rect", [0, 0, 1, 1],
      {fill: "#f7f7f5", "fill-opacity": data.veil, mask: `url(#${data.mask})`}));
    if (shown[best] > 0) svg.append(draw("rect", data.boxes[best],
      {fill: "none", stroke: data.mark, "stroke-width": 3, "vector-effect": "non-scaling-stroke"}));
  };
  buttons.forEach((button, place) => {
    button.addEventListener("mouseenter", () => show(place));
    button.addEventListener("mouseleave", () => show(kept));
    button.addEventListener("focus", () => show(place));
    button.addEventListener("click", () => { kept = kept === place ? -1 : place; show(kept); });
  });
  show(-1);
}
"""
HINT = "Point at a word, or choose one."


def write_page(title: str, parts: Sequence[tuple[Evidence, str, Sequence[str]]]) -> str:
    """The page of some evidences, each with its subtitle and with lines that say how to read it."""
    sections = "\n".join(_section(number, *part) for number, part in enumerate(parts))
    return write_html(title, STYLE, sections, POLICY, SCRIPT)


def _section(number: int, evidence: Evidence, subtitle: str, notes: Sequence[str]) -> str:
    buttons = " ".join(
        f'<button type="button" class="{word.kind}" aria-pressed="false">{as_text(word.name)}</button>'
        for word in evidence.words
    )
    data = {
        "boxes": evidence.boxes,
        "shades": [[round(value, 4) for value in shades(word.weights)] for word in evidence.words],
        "said": [_said(word, evidence.adds_up) for word in evidence.words],
        "hint": HINT,
        "veil": STRONGEST,
        "mark": MARK,
        "mask": f"seen-{number}",
    }
    lines = "\n".join(f"<p>{as_text(line)}</p>" for line in notes)
    return (
        f'<section>\n<h2>{as_text(evidence.caption)}</h2>\n<p class="faint">{as_text(subtitle)}</p>\n'
        f'<p class="words">{buttons}</p>\n{_figure(evidence)}\n{lines}\n'
        f'<script type="application/json">{_json(data)}</script>\n</section>'
    )


def _figure(evidence: Evidence) -> str:
    said = f'<p class="said faint">{HINT}</p>'
    if isinstance(evidence.picture, str):
        return f"<p>no picture: {as_text(evidence.picture)}</p>\n<svg hidden></svg>\n{said}"
    picture = evidence.picture.copy()
    picture.thumbnail(LONGEST, Image.Resampling.BICUBIC)
    return (
        f'<figure><img alt="{as_text(evidence.id)}" width="{picture.width}" height="{picture.height}" '
        f'src="{as_source(picture, QUALITY)}">'
        f'<svg viewBox="0 0 1 1" preserveAspectRatio="none"></svg></figure>\n{said}'
    )


def _said(word: Word, adds_up: bool) -> str:
    """What stands under the photo while a word is pointed at."""
    part = f": {word.weight:+.4f} of the score" if adds_up else ""
    flat = "" if any(shades(word.weights)) else " (met all regions alike)"
    return f"{word.name}{part}{flat}"


def _json(data: object) -> str:
    """JSON that no tag ends: in a script nothing else is read as mark-up."""
    return json.dumps(data).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
