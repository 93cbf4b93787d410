"""Growth: laws that are fitted, what is computed and says so, and a work that does what it is named."""

import argparse
from pathlib import Path

import pytest

from benchmarks import growth
from benchmarks.growth import Failed, draw, fit, keep, main, measure, page, with_computed
from benchmarks.growth_works import GROWTHS, Growth

SIZES = (10, 100, 1000)


def grown(power: int) -> Growth:
    return Growth("drawn", "things", lambda size, folder: lambda: None, SIZES, (10_000,), power)


def points(times: tuple[float, ...], memory: tuple[float, ...]) -> list[dict[str, float]]:
    rows = zip(SIZES, times, memory, strict=True)
    return [{"size": size, "seconds": seconds, "memory_mib": mib} for size, seconds, mib in rows]


@pytest.mark.parametrize("power", [1, 2])
def test_a_law_is_found_again(power: int) -> None:
    assert fit(SIZES, [3 + 0.5 * size**power for size in SIZES], power) == pytest.approx((3, 0.5))


def test_neither_part_of_a_law_is_below_nothing() -> None:
    assert fit((1, 2, 4), [5, 5, 4.9], 1) == (5, 0)
    a, b = fit((1, 2, 4), [1, 2.2, 4.6], 1)
    assert a == 0 and b == pytest.approx(1.09, abs=0.02)


def test_what_is_computed_says_so_and_follows_the_law() -> None:
    found = with_computed(grown(2), points((1e-4, 1e-2, 1.0), (2.0, 20.0, 200.0)))

    assert [point["computed"] for point in found] == [False, False, False, True]
    assert found[-1]["seconds"] == pytest.approx(100) and found[-1]["memory_mib"] == pytest.approx(2000)


def test_memory_that_hardly_grew_is_not_made_to_grow() -> None:
    found = with_computed(grown(1), points((1.0, 2.0, 3.0), (100.0, 120.0, 140.0)))

    assert found[-1]["memory_mib"] == 140


def test_the_page_marks_what_was_not_measured(tmp_path: Path) -> None:
    measured = [
        {"size": size, "seconds": 1e-6 * size, "memory_mib": 5.0} for size in GROWTHS["prepare"].measured
    ]
    found = with_computed(GROWTHS["prepare"], measured)
    about = {"date": "today", "machine": "none", "threads": 1, "clock": "wall"}

    text = page({**about, "growths": {"prepare": found}})
    draw(GROWTHS["prepare"], found, tmp_path / "prepare.png")

    assert "| 500 | 0.0005 | 5 |" in text and "| *100,000* | *0.1* | *5* |" in text
    assert (tmp_path / "prepare.png").stat().st_size > 10_000


def test_a_point_is_measured_over_an_index_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(GROWTHS, "index", Growth("index", "vectors", GROWTHS["index"].make, (30,)))

    found = measure("index", 50, tmp_path, "cpu")

    assert found["seconds"] > 0 and found["memory_mib"] >= 0
    assert len(GROWTHS["search"].make(50, tmp_path)()[1][0]) == 10


def test_a_command_that_fails_is_told_and_the_others_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def apart(name: str, size: int, *_: object) -> dict[str, float]:
        if name == "search":
            raise Failed("search at 1,000: not done after 300 seconds")
        return {"seconds": 1e-3 * size, "memory_mib": 2.0}

    monkeypatch.setattr(growth, "apart", apart)
    monkeypatch.setattr(growth, "draw", lambda about, points, path: path.touch())
    monkeypatch.setattr(growth, "keep", lambda *given: keep(*given, tmp_path))
    monkeypatch.setattr("sys.argv", ["growth", "--only", "search", "prepare", "--threads", "1"])

    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 1 and "search at 1,000: not done" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"growth.json", "README.md", "prepare.png"}


def test_a_growth_is_kept_beside_those_of_an_earlier_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growth, "draw", lambda about, points, path: path.touch())
    asked = argparse.Namespace(threads=1, clock="cpu")
    for name in ("train", "prepare"):
        points = [{"size": size, "seconds": 1.0, "memory_mib": 2.0} for size in GROWTHS[name].measured]
        keep(name, with_computed(GROWTHS[name], points), asked, tmp_path)

    text = (tmp_path / "README.md").read_text()

    assert 0 < text.index("## mmx prepare") < text.index("## mmx train")
