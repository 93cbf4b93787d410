"""A method from outside mmx works like one of its own once its package is installed."""

from pathlib import Path

import pytest

import mmx.methods
from mmx.core.discover import find_method, names
from mmx.core.errors import UsageError
from mmx.core.home import Home
from mmx.core.reporter import SilentReporter
from mmx.workflows.evaluate import EvaluateSettings, evaluate
from mmx.workflows.method_settings import Wishes
from mmx.workflows.prepare import PrepareSettings, prepare
from mmx.workflows.search import SearchSettings, search
from mmx.workflows.train import TrainSettings, train
from tests.plugin_package import write_project

EXAMPLE = Path(__file__).parents[2] / "examples" / "sixth_method"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example's package, as its own pyproject.toml declares it."""
    write_project(tmp_path / "site", EXAMPLE)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.syspath_prepend(str(EXAMPLE))


def test_it_is_found_by_its_entry_point_alone(installed: None) -> None:
    assert "linear-hinge" in names("mmx.methods")
    assert find_method("linear_hinge") is find_method("linear-hinge")


def test_it_leaves_no_trace_when_its_package_is_not_there() -> None:
    assert "linear-hinge" not in names("mmx.methods")
    with pytest.raises(UsageError, match="there is no method 'linear-hinge'"):
        find_method("linear-hinge")


def test_no_file_of_the_package_speaks_its_name() -> None:
    package = Path(mmx.methods.__path__[0]).parent

    assert not [path for path in package.rglob("*.py") if "linear_hinge" in path.read_text()]


def test_it_is_trained_evaluated_and_searched_with_like_any_other(
    installed: None, home: Home, reporter: SilentReporter, tmp_path: Path
) -> None:
    options = {"scenes": "20", "size": "32"}
    prepare(PrepareSettings(name="toy", home=home.root, options=options, workers=1), reporter)
    wishes = Wishes(preset="tiny", assignments=("epochs=1", "margin=0.3"))

    trained = train(
        TrainSettings("linear-hinge", "toy", wishes, device="cpu", out=tmp_path / "run", home=home.root),
        reporter,
    )
    measured = evaluate(EvaluateSettings(home=home, run=trained.run, device="cpu"), reporter)
    found = search(
        SearchSettings(query="a red circle", run=trained.run, top=3, home=home, device="cpu"), reporter
    )

    assert measured.metrics["rsum"] == pytest.approx(trained.metrics["rsum"])
    assert [hit.rank for hit in found.hits] == [1, 2, 3]
    assert all(-1 <= hit.score <= 1 for hit in found.hits)
