"""One world for all tests of faults, and a copy of it for each that spoils something."""

from pathlib import Path

import pytest

from tests.faults.world import copied, make_world


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that holds the home, the photos and the raw data; nobody changes it."""
    root = tmp_path_factory.mktemp("faults") / "world"
    make_world(root)
    return root


@pytest.fixture
def spoiled(world: Path, tmp_path: Path) -> Path:
    """The home of a copy of its own."""
    return copied(world, tmp_path / "world")
