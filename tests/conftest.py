"""What many tests share: a home of their own, the real data where there is any, and silence."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from mmx.core.home import Home
from mmx.core.reporter import SilentReporter
from tests.stand_in_hub import TOKEN, StandInHub, stand_in_hub


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """An empty home; commands run in the test find it through MMX_HOME."""
    monkeypatch.setenv("MMX_HOME", str(tmp_path / "home"))
    return Home.find()


@pytest.fixture
def reporter() -> SilentReporter:
    """Nobody listens."""
    return SilentReporter()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data, or a skip that says why."""
    folder = Path(
        os.environ.get("MMX_TEST_DATA", Path(__file__).parents[1] / ".." / "shared" / "data")
    ).resolve()
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set MMX_TEST_DATA")
    return folder


@pytest.fixture(autouse=True)
def no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reaches a hub, even where there is a network."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[StandInHub]:
    """A hub on this machine, asked with a token of its own and with a cache of the test's."""
    with stand_in_hub() as listening:
        monkeypatch.setenv("HF_ENDPOINT", listening.address)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        monkeypatch.delenv("HF_HUB_CACHE", raising=False)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setenv("HF_HUB_OFFLINE", "0")
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        # its store of large files is another protocol; the plain one is that of every hub
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
        yield listening
