"""A run on a hub is a run wherever one is named: searched with, measured, begun with."""

from pathlib import Path

import pytest

from mmx.core.reporter import SilentReporter
from mmx.workflows.evaluate import evaluate
from mmx.workflows.evaluate_settings import EvaluateSettings
from mmx.workflows.method_settings import Wishes
from mmx.workflows.push import PushSettings, push
from mmx.workflows.search import search
from mmx.workflows.search_settings import SearchSettings
from mmx.workflows.train import TrainSettings, train
from tests.stand_in_hub import StandInHub
from tests.workflows.exported_home import RUNS, exported_home

pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
ON_HUB = Path("hub:me/clip")


def test_it_finds_measures_and_begins_as_the_run_that_was_pushed(hub: StandInHub, tmp_path: Path) -> None:
    home, photos = exported_home(tmp_path / "home")
    mine, silent = home.runs / "clip", SilentReporter()
    push(PushSettings(mine, "me/clip", home=home), silent)
    assert "tokenizer.json" in hub.files("me/clip")

    def hits(run: Path) -> list[tuple[str, float]]:
        asked = SearchSettings(query="a red square", run=run, folder=photos, home=home)
        return [(hit.id, hit.score) for hit in search(asked, silent).hits]

    def rsum(run: Path) -> float:
        return evaluate(EvaluateSettings(home, run=run, split="val"), silent).metrics["rsum"]

    assert hits(ON_HUB) == hits(mine)
    assert rsum(ON_HUB) == rsum(mine)
    method, assignments = RUNS["clip"]
    wishes = Wishes(
        preset="tiny", assignments=tuple(one.format(words=home.root / "words") for one in assignments)
    )
    begun = train(
        TrainSettings(method, "drawn", wishes, 1, "cpu", out=home.runs / "on", init=ON_HUB, home=home.root),
        silent,
    )
    assert begun is not None
