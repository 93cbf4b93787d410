"""A search that is open over four photos of one colour each, with the stub matcher."""

from pathlib import Path

import pytest
from PIL import Image

from mmx.core.home import Home
from mmx.core.reporter import SilentReporter
from mmx.workflows import searcher
from mmx.workflows.search_settings import SearchSettings
from mmx.workflows.serve import Service
from tests.workflows.stub_matcher import COLOURS, StubMatcher


def serve_photos(place: Path, home: Home, monkeypatch: pytest.MonkeyPatch) -> Service:
    folder = place / "photos"
    folder.mkdir()
    for number, colour in enumerate(COLOURS):
        Image.new("RGB", (40, 30 + number), colour).save(folder / f"{colour}.png")
    monkeypatch.setattr(searcher, "open_matcher", lambda *_: StubMatcher())
    return Service(SearchSettings(model="stub", folder=folder, home=home), SilentReporter())
