"""mmx prepare, evaluate, index and search with people: what is shown, exit codes of what cannot be."""

import json
from functools import partial
from pathlib import Path

import pytest

from mmx.core.home import Home
from tests.typed import typed
from tests.workflows.evaluated_home import fresh_home
from tests.workflows.person_home import person_home


@pytest.fixture
def mmx(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture):
    """Types a command; gives exit code, standard output and standard error."""

    return partial(typed, monkeypatch, capfd)


@pytest.fixture
def people(tmp_path: Path) -> Home:
    return person_home(tmp_path / "people")


def test_the_table_has_a_column_for_k_reciprocal_and_the_gallery_is_named(
    mmx, people: Home, tmp_path: Path
) -> None:
    place = tmp_path / "gallery.html"

    code, out, err = mmx(
        *("evaluate", people.runs / "once", "--home", people.root, "--device", "cpu", "--split", "test"),
        *("--k-reciprocal", "--gallery", place, "--gallery-queries", 2),
    )

    assert code == 0 and place.is_file() and str(place) in err
    for words in ("first stage", "k-reciprocal", "rank@1", "map", "minp", "mean average precision"):
        assert words in out
    assert "rsum" not in out


def test_json_has_the_numbers_of_person_search(mmx, people: Home) -> None:
    code, out, _ = mmx("evaluate", people.runs / "once", "--home", people.root, "--device", "cpu", "--json")

    document = json.loads(out)
    assert code == 0 and document["primary_metric"] == "map"
    assert list(document["metrics"]) == ["rank@1", "rank@5", "rank@10", "map", "minp"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--gallery", "gallery.png"), "is an HTML file"),
        (("--gallery", "g.html", "--gallery-queries", 0), "gallery-queries"),
        (("--split", "probe"), "'probe'"),
    ],
)
def test_wishes_of_a_gallery_that_cannot_be_are_usage_errors(
    words: tuple, said: str, mmx, people: Home
) -> None:
    code, out, err = mmx("evaluate", people.runs / "once", "--home", people.root, "--device", "cpu", *words)

    assert (code, out) == (2, "") and said in err


def test_k_reciprocal_without_identities_is_a_usage_error(mmx, tmp_path: Path) -> None:
    home = fresh_home(tmp_path / "home")

    code, _, err = mmx("evaluate", "first", "--home", home.root, "--device", "cpu", "--k-reciprocal")

    assert code == 2 and "has no identities" in err


@pytest.mark.parametrize("verb", ["evaluate", "search", "index"])
def test_nothing_is_ranked_indexed_or_searched_with_a_run_that_leaks(verb: str, mmx, people: Home) -> None:
    run, crops = people.runs / "leaky", next(people.dataset("pedestrians").glob("images-*")) / "test"
    typed = {
        "evaluate": ("evaluate", run),
        "search": ("search", "a red coat", "--run", run),
        "index": ("index", "add", crops, "--run", run),
    }

    code, out, err = mmx(*typed[verb], "--home", people.root, "--device", "cpu")

    assert (code, out) == (2, "") and "reads the caption" in err
    assert not people.indexes.is_dir() or not any(people.indexes.iterdir())


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        (None, 2, "needs its files: mmx prepare cuhk-pedes --raw FOLDER"),
        ('[{"id": 1, "file_path"', 3, "is not whole JSON"),
        ("{}", 3, "holds a dict, not a list"),
    ],
)
def test_lists_that_cannot_be_read_are_told_with_the_file(
    text: str | None, code: int, said: str, mmx, tmp_path: Path
) -> None:
    raw = ()
    if text is not None:
        (tmp_path / "reid_raw.json").write_text(text)
        raw = ("--raw", tmp_path)

    found, out, err = mmx("prepare", "cuhk_pedes", *raw, "--home", tmp_path / "home")

    assert (found, out) == (code, "") and said in err
