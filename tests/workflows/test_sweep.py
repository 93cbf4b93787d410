"""One training for each value of a setting."""

import dataclasses
import json
from pathlib import Path

import pytest
from PIL import Image

from mmx.core.errors import Interrupted, UsageError
from mmx.core.home import Home
from mmx.core.reporter import SilentReporter
from mmx.store.run import RunFolder
from mmx.workflows.method_settings import Wishes
from mmx.workflows.sweep import parse_sweep, sweep
from mmx.workflows.train_settings import TrainSettings
from tests.post_corpus import write_posts
from tests.workflows.test_posts import prepared


def asked(home: Home, out: Path) -> TrainSettings:
    wishes = Wishes(preset="tiny", assignments=("epochs=1", "generator=none", "captioner=false"))
    return TrainSettings("muse", "posts", wishes, device="cpu", out=out, home=home.root)


def test_each_value_has_a_run_and_a_place_in_the_plot(home: Home, tmp_path: Path) -> None:
    prepared(home, write_posts(tmp_path / "posts"), "posts")
    settings = asked(home, tmp_path / "sweep")

    found = sweep("theta=0.1,0.5", settings, SilentReporter())

    assert [row.value for row in found.rows] == ["0.1", "0.5"] and found.metric == "f1_strict"
    assert [RunFolder.open(Path(row.run)).facts["settings"]["theta"] for row in found.rows] == [0.1, 0.5]
    with Image.open(tmp_path / "sweep" / "sweep.png") as plot:
        assert plot.width > 400
    kept = json.loads((tmp_path / "sweep" / "sweep.json").read_text())
    assert kept["schema"] == "mmx.sweep/1" and len(kept["rows"]) == 2
    before = Path(found.rows[0].run, "model.safetensors").stat().st_mtime_ns

    again = sweep("theta=0.1,0.5,0.2", settings, SilentReporter())

    assert Path(again.rows[0].run, "model.safetensors").stat().st_mtime_ns == before
    assert [row.value for row in again.rows] == ["0.1", "0.5", "0.2"]
    with pytest.raises(UsageError, match=r"theta-0\.1' was trained with other settings, data or seed"):
        sweep("theta=0.1,0.5", dataclasses.replace(settings, seed=3), SilentReporter())


def test_a_sweep_that_was_stopped_goes_on_where_it_stood(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared(home, write_posts(tmp_path / "posts"), "posts")
    settings = asked(home, tmp_path / "sweep")
    with monkeypatch.context() as patch:
        patch.setattr("mmx.workflows.train.draw_curves", stop)
        with pytest.raises(Interrupted):
            sweep("theta=0.1,0.5", settings, SilentReporter())

    found = sweep("theta=0.1,0.5", settings, SilentReporter())

    assert [RunFolder.open(Path(row.run)).facts["settings"]["theta"] for row in found.rows] == [0.1, 0.5]


def stop(*parts: object) -> None:
    raise Interrupted("stopped")


def test_a_setting_is_not_swept_and_named_by_its_flag_at_once(home: Home, tmp_path: Path) -> None:
    wishes = Wishes(preset="tiny", flags={"lr": 0.1})
    settings = TrainSettings("muse", "posts", wishes, out=tmp_path / "sweep", home=home.root)

    with pytest.raises(UsageError, match="lr is swept: leave out --lr"):
        sweep("lr=0.1,0.2", settings, SilentReporter())


@pytest.mark.parametrize("text", ["theta", "theta=", "theta=0.1", "theta=0.1,", "=1,2", "theta=1,1"])
def test_a_sweep_is_a_setting_and_two_or_more_values(text: str) -> None:
    with pytest.raises(UsageError, match=r"--sweep .* is not possible"):
        parse_sweep(text)


def test_an_impossible_value_is_found_before_any_training(home: Home, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"theta=9.0 is out of bounds"):
        sweep("theta=0.1,9", asked(home, tmp_path / "sweep"), SilentReporter())

    assert not (tmp_path / "sweep").exists()
