"""A matcher whose ranks can be read: a picture is its colour, a sentence the colours that it names."""

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import ImageColor
from torch.nn.functional import normalize

from mmx.core.reporter import Reporter
from mmx.store.images import ImageError, load_image
from mmx.workflows.search import ask
from mmx.workflows.search_result import SearchResult
from mmx.workflows.search_settings import SearchSettings, check
from mmx.workflows.searchable import encode_query, open_searchables

COLOURS = ("red", "green", "blue", "white")


class StubMatcher:
    """Four colours, one axis each; a sentence that names none of them points equally to all."""

    name, fingerprint, opened = "stub", "stub-1", None

    def __init__(self) -> None:
        self.encoded: list[str] = []

    def knows(self, sentence: str) -> bool:
        return True

    def encode_texts(self, captions: Sequence[str]) -> torch.Tensor:
        named = torch.tensor(
            [[float(colour in caption.split()) for colour in COLOURS] for caption in captions]
        )
        return normalize(torch.where(named.any(dim=1, keepdim=True), named, torch.ones_like(named)), dim=1)

    def encode_images(
        self, paths: Sequence[Path], reporter: object
    ) -> tuple[torch.Tensor, list[tuple[int, str]]]:
        vectors, failures = [], []
        for place, path in enumerate(paths):
            self.encoded.append(path.name)
            try:
                colour = torch.tensor(load_image(path).getpixel((0, 0)))
            except ImageError as error:
                failures.append((place, str(error)))
                continue
            # The nearest one: JPEG moves a colour a little.
            named = torch.tensor([ImageColor.getrgb(name) for name in COLOURS])
            vectors.append(torch.eye(4)[(named - colour).abs().sum(dim=1).argmin()])
        return (torch.stack(vectors) if vectors else torch.empty(0, 0)), failures


def search_with(matcher: object, settings: SearchSettings, reporter: Reporter) -> SearchResult:
    """A search with a matcher that is open already, in the order of the real one."""
    check(settings)
    query = encode_query(matcher, settings)
    return ask(matcher, open_searchables(matcher, settings, reporter), settings, reporter, query)
