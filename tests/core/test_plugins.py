"""Plug-ins: found by what they declare, refused by name, and one that breaks stops nothing else."""

from pathlib import Path

import pytest

from mmx import __version__
from mmx.core.discover import find_all, find_corpus, find_method, names, origin, troubles
from mmx.core.errors import PluginError, UsageError
from tests.plugin_package import write_plugin

CORPUS = (
    "from mmx.core.corpus import Corpus\nPART = Corpus('Drawn by hand.', 'none', lambda raw, options: None)\n"
)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed packages."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


def test_a_name_is_known_before_anything_is_imported(site: Path) -> None:
    write_plugin(site, "mmx.corpora", "My_Pictures", "raise RuntimeError('imported')")

    assert "my-pictures" in names("mmx.corpora")


def test_what_an_entry_point_gives_is_found_like_a_part_of_mmx(site: Path) -> None:
    write_plugin(site, "mmx.corpora", "drawn-by-hand", CORPUS)

    assert find_corpus("Drawn_by_Hand").summary == "Drawn by hand."
    assert find_all("mmx.corpora")["drawn-by-hand"] is find_corpus("drawn-by-hand")
    assert origin("mmx.corpora", "drawn-by-hand") == "somebodys 1.5"
    assert origin("mmx.corpora", "toy") == ""
    with pytest.raises(UsageError, match="Did you mean 'drawn-by-hand'"):
        find_corpus("drawn-by-hands")


def test_mmx_keeps_its_own_names(site: Path) -> None:
    write_plugin(site, "mmx.corpora", "Toy", CORPUS)

    assert find_corpus("toy").summary != "Drawn by hand."
    assert find_all("mmx.corpora")["toy"] is find_corpus("toy")
    (problem,) = troubles("mmx.corpora").values()
    assert "'toy' (mmx.corpora) of 'somebodys 1.5' cannot be used: mmx has one of that name" in problem


def test_of_two_of_one_name_neither_is_used(site: Path) -> None:
    write_plugin(site, "mmx.corpora", "drawn", CORPUS, "one")
    write_plugin(site, "mmx.corpora", "drawn", CORPUS, "two")

    with pytest.raises(PluginError, match=r"one 1\.5 and two 1\.5 bring one of that name"):
        find_corpus("drawn")
    assert "drawn" not in find_all("mmx.corpora")


@pytest.mark.parametrize(
    ("name", "source", "requires", "words"),
    [
        (
            "b1",
            "import a_package_nobody_has",
            "mmx",
            "ModuleNotFoundError: No module named 'a_package_nobody_has'",
        ),
        ("b2", "PART = 'text'", "mmx", "'somebodys_b2_module:PART' is a str, not a Method or Classifier"),
        ("b3", "", "mmx", "AttributeError: module 'somebodys_b3_module' has no attribute 'PART'"),
        ("b4", "def (", "mmx", "SyntaxError"),
        ("b5", "class Odd(Exception): pass\nraise Odd('so it is')", "mmx", "Odd: so it is"),
        ("b6", "import sys; sys.exit(0)", "mmx", "SystemExit: 0"),
        ("b7", "PART = 1", "MMX>=99", f"it was made for mmx >=99, and this is mmx {__version__}"),
        ("b8", "PART = 1", "mmx >>> 3", "its metadata is wrong"),
    ],
)
def test_one_that_breaks_says_why_and_stops_nothing_else(
    name: str, source: str, requires: str, words: str, site: Path
) -> None:
    own = find_all("mmx.methods")
    write_plugin(site, "mmx.methods", name, source, requires=requires)

    with pytest.raises(PluginError) as caught:
        find_method(name)

    assert caught.value.exit_code == 7
    assert words in str(caught.value)
    assert "pip uninstall somebodys" in str(caught.value)
    assert find_all("mmx.methods") == own
    assert [plugin.name for plugin, problem in troubles("mmx.methods").items() if words in problem] == [name]


def test_what_it_asks_of_others_or_elsewhere_is_no_reason_to_refuse_it(site: Path) -> None:
    write_plugin(site, "mmx.corpora", "a", CORPUS, "one", requires="torch>=99")
    write_plugin(site, "mmx.corpora", "b", CORPUS, "two", requires="mmx>=99; python_version < '3'")

    assert {"a", "b"} <= set(find_all("mmx.corpora"))
