"""Learning curves: every number of a log is drawn once, and a log that is broken is said to be."""

import json
from pathlib import Path

import pytest
from PIL import Image

from mmx.core.errors import ArtifactError
from mmx.reports.curves import draw_curves, read_log, series, stage_starts


def write(path: Path, *lines: object, tail: str = "") -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + tail)
    return path


def step(number: int, stage: str = "only", **more: object) -> dict[str, object]:
    line = {
        "kind": "step",
        "stage": stage,
        "epoch": 1,
        "step": number,
        "loss": {"total": 1.0 / number, "part": 0.5},
    }
    return {**line, "lr": {"head": 0.1}, "seconds": 1.0, **more}


def epoch(number: int, rsum: float) -> dict[str, object]:
    return {
        "kind": "epoch",
        "stage": "only",
        "epoch": number,
        "step": number * 10,
        "val": {"rsum": rsum, "r1": 1.0},
    }


def test_a_log_becomes_a_wide_picture(tmp_path: Path) -> None:
    log = write(tmp_path / "log.jsonl", step(1), step(2), epoch(1, 10.0), step(11, "second"), epoch(2, 20.0))
    draw_curves(log, tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.width > 3 * picture.height
    assert sorted(found.name for found in tmp_path.iterdir()) == ["curves.png", "log.jsonl"]


def test_what_a_method_gauges_has_a_panel_of_its_own(tmp_path: Path) -> None:
    plain = write(tmp_path / "plain", step(1), step(2), epoch(1, 10.0))
    gauged = write(tmp_path / "gauged", step(1, gauge={"w": 1.0}), step(2, gauge={"w": 2.0}), epoch(1, 10.0))
    widths = []
    for log in (plain, gauged):
        draw_curves(log, tmp_path / "curves.png")
        with Image.open(tmp_path / "curves.png") as picture:
            widths.append(picture.width)

    assert widths[1] == pytest.approx(widths[0] * 4 / 3, abs=2)


def test_nested_and_flat_names_are_the_same_curves(tmp_path: Path) -> None:
    nested = read_log(write(tmp_path / "a", step(1), step(2)))
    flat = read_log(
        write(
            tmp_path / "b",
            *({"kind": "step", "step": n, "loss/total": 1 / n, "lr/head": 0.1} for n in (1, 2)),
        )
    )
    for lines in (nested, flat):
        assert series(lines, lambda name: name.endswith("total")) == {"loss/total": ([1.0, 2.0], [1.0, 0.5])}
        assert series(lines, lambda name: name.startswith("lr/")) == {"lr/head": ([1.0, 2.0], [0.1, 0.1])}


def test_a_stage_begins_where_its_name_changes() -> None:
    assert stage_starts([step(1, "warm"), step(2, "warm"), step(3, "tune")]) == [(3.0, "tune")]


def test_a_loss_that_is_no_number_leaves_a_gap(tmp_path: Path) -> None:
    log = write(tmp_path / "log.jsonl", step(1), step(2, loss={"total": float("nan")}), step(3))
    draw_curves(log, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").is_file()


def test_a_last_line_cut_by_a_kill_is_left_out(tmp_path: Path) -> None:
    assert len(read_log(write(tmp_path / "log.jsonl", step(1), tail='{"kind": "st'))) == 1


def test_a_log_without_steps_or_without_epochs_is_drawn(tmp_path: Path) -> None:
    draw_curves(write(tmp_path / "a.jsonl", step(1)), tmp_path / "a.png")
    draw_curves(write(tmp_path / "b.jsonl", epoch(1, 5.0)), tmp_path / "b.png")

    assert (tmp_path / "a.png").stat().st_size and (tmp_path / "b.png").stat().st_size


def test_absent_empty_and_broken_logs_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="absent"):
        draw_curves(tmp_path / "absent.jsonl", tmp_path / "c.png")
    with pytest.raises(ArtifactError, match="no step and no epoch"):
        draw_curves(write(tmp_path / "log.jsonl", {"kind": "other"}), tmp_path / "c.png")
    (tmp_path / "log.jsonl").write_text('{"kind"\n{"kind": "step"}\n')
    with pytest.raises(ArtifactError, match="line 1 of"):
        draw_curves(tmp_path / "log.jsonl", tmp_path / "c.png")
