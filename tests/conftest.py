"""What many tests share: a home of their own, the real data where there is any, and silence."""

import os
from pathlib import Path

import pytest

from mmx.core.home import Home
from mmx.core.reporter import SilentReporter


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
