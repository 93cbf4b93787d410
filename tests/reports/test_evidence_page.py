"""The page of evidence: one file that fetches nothing, in which no text becomes mark-up."""

import base64
import io
import json
import re
from html.parser import HTMLParser

from PIL import Image

from mmx.reports.evidence import Evidence, Word
from mmx.reports.evidence_page import LONGEST, write_page

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)> & \"quoted\" 'too'"
BOXES = ((0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0))


class Seen(HTMLParser):
    """What a browser would make of a page: tags with attributes, and texts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def named(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == name]


def make(text: str = "dog", picture: Image.Image | str | None = None) -> Evidence:
    picture = Image.new("RGB", (2000, 1000), "red") if picture is None else picture
    words = (Word(text, (0.3, 0.1)), Word("the", (0.1, 0.1), "stop", True))
    return Evidence(1, text, text, text, 0.8, picture, BOXES, words, True)


def data_of(page: str) -> list[dict]:
    return [json.loads(found) for found in re.findall(r'application/json">(.*?)</script>', page, re.DOTALL)]


def test_each_word_is_a_button_with_its_shades_and_its_part() -> None:
    page = write_page("a title", [(make(), "subtitle", ("a note",)), (make(), "subtitle", ())])

    seen, data = Seen(page), data_of(page)
    assert len(seen.named("button")) == 4
    assert [button["class"] for button in seen.named("button")[:2]] == ["word", "stop"]
    assert data[0]["shades"] == [[1, 0], [0, 0]]
    assert data[0]["boxes"] == [list(box) for box in BOXES]
    assert data[0]["said"] == [
        "dog: +0.4000 of the score", "the (unknown): +0.2000 of the score (met all regions alike)"
    ]  # fmt: skip
    assert data[0]["mask"] != data[1]["mask"]
    assert "a note" in seen.texts


def test_no_text_becomes_markup() -> None:
    page = write_page(EVIL, [(make(EVIL), EVIL, (EVIL,)), (make(EVIL, EVIL), EVIL, ())])

    seen = Seen(page)
    assert len(seen.named("script")) == 3
    assert len(seen.named("img")) == 1
    assert all("onerror" not in attributes for _, attributes in seen.tags)
    assert seen.named("img")[0]["alt"] == EVIL
    assert seen.texts.count(EVIL) >= 6
    assert data_of(page)[0]["said"][0].startswith(EVIL)


def test_nothing_is_fetched() -> None:
    page = write_page("title", [(make(), "subtitle", ())])

    seen = Seen(page)
    sources = [attributes.get(name) for _, attributes in seen.tags for name in ("src", "href")]
    assert all(source.startswith("data:") for source in sources if source is not None)
    assert "@import" not in page and "url(http" not in page
    policy = next(meta["content"] for meta in seen.named("meta") if "http-equiv" in meta)
    assert policy.startswith("default-src 'none'; img-src data:;")


def test_the_photo_is_embedded_at_a_size_for_screens() -> None:
    image = Seen(write_page("title", [(make(), "subtitle", ())])).named("img")[0]

    with Image.open(io.BytesIO(base64.b64decode(image["src"].partition(",")[2]))) as photo:
        assert photo.size == (LONGEST[0], LONGEST[0] // 2)
        assert (image["width"], image["height"]) == (str(photo.width), str(photo.height))


def test_a_missing_photo_is_told_and_half_letters_are_replaced() -> None:
    page = write_page("\ud800", [(make("dog", "missing"), "subtitle", ())])

    assert "no picture: missing" in page
    page.encode("utf-8")
