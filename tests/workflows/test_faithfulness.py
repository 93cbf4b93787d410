"""Faithfulness over a split: its own pairs, drawn by a seed, of any run that explains its scores."""

import json
from pathlib import Path

import pytest
import torch

from mmx.core.errors import UsageError
from mmx.core.home import Home
from mmx.core.reporter import SilentReporter
from mmx.store.manifest import Manifest
from mmx.store.run import RunFolder
from mmx.tasks.faithfulness import Faithfulness
from mmx.workflows.evaluate import EvaluateSettings, evaluate
from mmx.workflows.faithfulness import check_run_explains, explaining_task, measure_faithfulness
from mmx.workflows.opened_run import open_run
from mmx.workflows.stored_regions import split_as_it_stands
from tests.workflows.explained_home import explained_home


@pytest.fixture
def trained(tmp_path: Path) -> Home:
    return explained_home(tmp_path / "home")


def measure(home: Home, run: str, pairs: int, seed: int = 0) -> Faithfulness | None:
    manifest, device = Manifest.open(home.dataset("drawn")), torch.device("cpu")
    place = home.runs / run
    return measure_faithfulness(place, manifest, "val", pairs, home, device, seed, SilentReporter())


@pytest.mark.parametrize("run", ["words", "tokens", "detector"])
def test_so_many_captions_are_measured_with_their_own_pictures(run: str, trained: Home) -> None:
    found = measure(trained, run, pairs=3)

    assert (found.pairs, found.left_out) == (3, 0)
    assert [row.share for row in found.comparisons] == [0.1, 0.2, 0.3]
    assert -1 <= found.score <= 1


def test_more_pairs_than_captions_are_all_of_them_and_a_seed_draws_the_same(trained: Home) -> None:
    assert measure(trained, "words", pairs=99).pairs == 8
    assert measure(trained, "words", pairs=2) == measure(trained, "words", pairs=2)
    assert measure(trained, "words", pairs=2) != measure(trained, "words", pairs=2, seed=1)


def test_the_mean_score_is_that_of_pictures_as_they_stand(trained: Home) -> None:
    """The run embeds pictures with their mirrors; what is masked is a region of the picture itself."""
    manifest = Manifest.open(trained.dataset("drawn"))
    opened = open_run(trained.runs / "tokens", trained, torch.device("cpu"))
    task, every = opened.method.tasks[0], torch.arange(8)
    means = []
    for data in (split_as_it_stands(opened, manifest, "val"), opened.assembly.data("val")):
        batch = data.batch(every // 2, every)
        with torch.no_grad():
            image, text = task.encode_image(opened.model, batch), task.encode_text(opened.model, batch)
        means.append(float((image * text).sum(dim=1).mean()))

    found = measure(trained, "tokens", pairs=8)

    assert found.score == pytest.approx(means[0], abs=1e-6)
    assert found.score != pytest.approx(means[1], abs=1e-6)


def test_an_evaluation_measures_keeps_and_tells_it(trained: Home) -> None:
    settings = EvaluateSettings(home=trained, run=Path("words"), faithfulness=3, device="cpu")

    evaluation = evaluate(settings, SilentReporter())

    document = json.loads(json.dumps(evaluation.document()))
    assert document["faithfulness"]["pairs"] == 3
    assert "Faithfulness over 3 pairs" in evaluation.findings[0]
    assert any(line.startswith("Faithfulness: the drop") for line in evaluation.definitions)
    kept = RunFolder.open(trained.runs / "words").metrics()["evaluations"][-1]
    assert kept["faithfulness"] == document["faithfulness"]
    plain = evaluate(EvaluateSettings(home=trained, run=Path("words"), device="cpu"), SilentReporter())
    assert "faithfulness" not in plain.document()


def test_who_cannot_is_told_who_can_before_any_work(trained: Home) -> None:
    settings = EvaluateSettings(home=trained, model="random:clip", dataset="drawn", faithfulness=1)
    with pytest.raises(UsageError, match=r"'random:clip' is a pretrained pair of towers, .*: mh-cvse, "):
        evaluate(settings, SilentReporter())
    with pytest.raises(UsageError, match="faithfulness=-1"):
        evaluate(EvaluateSettings(home=trained, run=Path("words"), faithfulness=-1), SilentReporter())
    with pytest.raises(UsageError, match="'it', which does not tell"):
        explaining_task(None, "'it'")
    check_run_explains(RunFolder.open(trained.runs / "words"), None)
