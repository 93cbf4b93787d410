"""The site: it builds strictly and fetches nothing; what its pages say of code, figures and JSON is so."""

import dataclasses
import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from mmx.core.batch import Batch
from mmx.core.corpus import Corpus, Reading
from mmx.core.discover import find_method
from mmx.core.method import Method
from mmx.core.record import Record
from tests.pages import DOCS, ROOT

METHODS = sorted(page.stem for page in (ROOT / "docs" / "methods").glob("*.md") if page.stem != "index")
FIGURE = re.compile(r"(?<![\d.])\d{2,3}\.\d{1,2}(?!\d|\.\d)")
CLAIMED = {"87.21", "75.59", "83.06", "71.41", "75.80", "88.62", "76.81", "74.65", "82.64"}
"""What the methods' sources say they reach."""
NO_RESULT = {"28.8"}
"""Megabytes of the run that comes with mmx."""
SCHEMA = re.compile(r"\bmmx\.[a-z-]+/\d\b")
FOREIGN = re.compile(r"""(?:src|href)="(?:https?:)?//(?!creativecommons)[^"]*\.(?:js|css|woff2?|png|svg)""")


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    """What MkDocs calls when it builds."""
    pytest.importorskip("latex2mathml", reason="the extra docs is not installed")
    place = ROOT / "docs" / "_hooks.py"
    spec = importlib.util.spec_from_file_location("site_hooks", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_there_is_a_page_for_every_method() -> None:
    own = {path.parent.name.replace("_", "-") for path in (ROOT / "mmx" / "methods").glob("*/__init__.py")}

    assert set(METHODS) == own


@pytest.mark.parametrize("name", METHODS)
def test_a_methods_page_has_idea_drawing_equations_settings_oracles_results_and_limits(name: str) -> None:
    text = (ROOT / "docs" / "methods" / f"{name}.md").read_text()

    parts = [f"](../images/{name}.svg)", "```math", f"<!-- settings: {name} -->"]
    parts += ["## Equations", "## Settings", "## What its tests hold", "## Results", "## Limits"]
    assert [part for part in parts if part not in text] == []


@pytest.mark.parametrize("name", METHODS)
def test_settings_tables_are_those_of_the_code(name: str, hooks: ModuleType) -> None:
    filled = hooks.on_page_markdown(f"<!-- settings: {name} -->")

    for field in dataclasses.fields(find_method(name).settings):
        assert f"| `{field.name}` | {hooks.value(field.default)} |" in filled
    assert all(f"`{preset}`" in filled for preset, changes in find_method(name).presets.items() if changes)


def test_an_equation_becomes_mathml_and_a_line_is_one(hooks: ModuleType) -> None:
    page = hooks.on_page_markdown("before\n\n```math\na = b \\\\\n+ c\nd = e\n```\n\nafter")

    assert page.count("<math ") == 2 and "```" not in page
    assert "<mi>c</mi>" in page.split("</math>")[0]


def test_figures_on_the_pages_stand_in_the_readme_of_benchmarks() -> None:
    exact = FIGURE.findall((ROOT / "benchmarks" / "README.md").read_text())
    known = {*exact, *(f"{float(figure):.1f}" for figure in exact)}
    pages = [
        ROOT / "README.md",
        *(ROOT / "docs" / "methods").glob("*.md"),
        *(ROOT / "docs" / "tasks").glob("*.md"),
    ]

    for page in pages:
        strange = set(FIGURE.findall(page.read_text())) - known - CLAIMED - NO_RESULT
        assert not strange, f"{page.name}: {strange}"


def test_every_document_of_json_is_described_and_no_other() -> None:
    described = set(SCHEMA.findall((ROOT / "docs" / "json.md").read_text()))
    written = {found for path in (ROOT / "mmx").rglob("*.py") for found in SCHEMA.findall(path.read_text())}

    assert described == written


@pytest.mark.parametrize(
    ("page", "kinds"), [("add-a-method", (Batch, Method)), ("add-a-corpus", (Corpus, Reading, Record))]
)
def test_what_one_may_fill_in_is_listed_whole(page: str, kinds: tuple[type, ...]) -> None:
    text = (ROOT / "docs" / f"{page}.md").read_text()

    for kind in kinds:
        named = [field.name for field in dataclasses.fields(kind)]
        assert [name for name in named if f"`{name}`" not in text] == [], kind


def test_links_of_readme_lead_somewhere() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / "README.md").read_text())

    assert links and [link for link in links if not (ROOT / link).exists()] == []


def test_the_site_builds_strictly_and_fetches_nothing(
    tmp_path: Path, hooks: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = pytest.importorskip("mkdocs.commands.build", reason="the extra docs is not installed")
    config = pytest.importorskip("mkdocs.config")
    monkeypatch.setenv("NO_MKDOCS_2_WARNING", "1")

    said = config.load_config(str(ROOT / "mkdocs.yml"), site_dir=str(tmp_path / "site"))
    commands.build(said)

    pages = sorted((tmp_path / "site").rglob("*.html"))
    assert len(pages) >= len(DOCS)
    for page in pages:
        assert not FOREIGN.search(page.read_text()), page
    assert "<math " in (tmp_path / "site" / "methods" / "mh-cvse.html").read_text()
    assert "site_hooks" not in sys.modules
