"""The notebook of examples: its cells run one after another, and it is kept without what they showed.

Plain `exec` of its cells, in one process with the tests: a kernel of its own would take seconds to begin.
"""

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.pages import ROOT

NOTEBOOK = ROOT / "examples" / "evidence.ipynb"


def cells() -> list[dict]:
    """Its code cells."""
    return [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]


def test_the_notebook_draws_its_evidence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    names: dict = {}

    for cell in cells():
        exec(compile("".join(cell["source"]), str(NOTEBOOK), "exec"), names)

    said = capsys.readouterr().out
    sheets = names["found"].explained.sheets
    assert len(sheets) == 2 and all(Image.open(sheet).width > 300 for sheet in sheets)
    assert "words and regions account for" in said and "without the 10% of regions with most weight" in said


def test_the_notebook_keeps_no_output_and_names_no_place_of_a_machine() -> None:
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in cells())
    assert "/home/" not in NOTEBOOK.read_text() and NOTEBOOK.stat().st_size < 20_000
