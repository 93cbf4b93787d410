"""The comparison on real CLIP features: what plain scripts reach is reached, and the gate stays on top."""

from pathlib import Path

import pytest

from mmx.core.home import Home
from mmx.core.reporter import SilentReporter
from mmx.workflows.extract import ExtractSettings, extract
from mmx.workflows.fewshot import fewshot
from mmx.workflows.fewshot_settings import FewshotSettings
from mmx.workflows.import_sources import ImportSource
from mmx.workflows.prepare import PrepareSettings, prepare

QUIET = SilentReporter()
FIGURES = {
    ("oxford_pets", 4): {"nearest-mean": 63.9, "linear-probe/random": 66.7, "gaussian": 76.2},
    ("oxford_pets", 16): {"nearest-mean": 75.0, "linear-probe/random": 80.4, "gaussian": 86.6},
    ("caltech101", 16): {"nearest-mean": 91.4, "linear-probe/random": 93.8, "gaussian": 93.9},
}
"""Test accuracies of independent scripts, to one decimal."""


@pytest.mark.real_data
@pytest.mark.parametrize("case", FIGURES, ids=lambda case: f"{case[0]}-{case[1]}")
def test_each_head_reaches_its_figure_and_the_gate_the_best_of_them(
    case: tuple[str, int], home: Home, real_data: Path
) -> None:
    folder, shots = real_data / "clip_vitb32_fewshot" / case[0], case[1]
    prepare(PrepareSettings("real", str(folder), home=home.root), QUIET)
    source = ImportSource(folder, as_embedding=True)
    extract(ExtractSettings("real", ("clip",), home=home, source=source), QUIET)

    table = fewshot(FewshotSettings("real", (shots,), (1,), device="cpu", home=home), QUIET)

    found = {row.name: row.mean for row in table.rows(shots)}
    for name, figure in FIGURES[case].items():
        assert round(found[name], 1) >= figure, name
    strong = found.pop("dynamic-gating/strong")
    assert strong >= max(found.values()) - 0.5
