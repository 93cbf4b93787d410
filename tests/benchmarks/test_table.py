from collections import Counter
from pathlib import Path

import pytest

from benchmarks import results, table
from benchmarks.__main__ import FOLDER, busy, rows_of


def record(ratio=9.1, **more):
    goals = [
        {
            "peer": "loop",
            "ratio": ratio,
            "spread": [8.8, 9.4],
            "kind": "faster",
            "floor": 7.0,
            "met": ratio >= 7,
        },
        {"peer": "loop", "ratio": 20.0, "kind": "smaller", "floor": 10.0, "met": True},
        {
            "peer": "product",
            "ratio": 0.5,
            "spread": [0.4, 0.8],
            "kind": "within",
            "floor": 1.6,
            "met": False,
        },
    ]
    times = {
        "mmx": {"median_s": 0.0527, "samples": 7, "dropped": 1, "share": 1, "memory_mib": 5.0},
        "loop": {"median_s": 1.5, "samples": 3, "dropped": 0, "share": 20, "memory_mib": 100.0},
        "product": {"median_s": 0.0264, "samples": 7, "dropped": 0, "share": 1, "memory_mib": 1.0},
    }
    return {
        "script": "a",
        "row": "recall",
        "title": "recall of all",
        "note": "Tried so.",
        "ours": "mmx",
        "machine": "a machine",
        "threads": 2,
        "clock": "wall",
        "date": "2026-11-21",
        "probe_gflops": 300.0,
        "versions": {"torch": "2"},
        "goals": goals,
        "contestants": times,
        "origins": {"loop": "transcribed", "product": "limit"},
        "figures": {"loop": {"apart": 0.25}},
        **more,
    }


def test_a_line_for_each_floor_with_the_ratio_of_the_run_before():
    lines = table.table({"recall": [record(), record(ratio=9.0)]}).splitlines()
    assert lines[0] == "Machine: a machine; 2 threads. Clock: wall. Best probe of a row: 300 to 300 GFLOP/s."
    assert lines[2] == "2 of 3 floors are met; 0 rows failed."
    assert lines[6:9] == [
        "| recall of all | 52.7 ms, 5.0 MiB | loop (transcribed) | 1.5 s, 100.0 MiB (a call x 20) "
        "| **9.1** (8.8 to 9.4) | 9 | 7 times as fast | yes |",
        "|  | 5.0 MiB | loop (transcribed) | 100.0 MiB | **20** | 20 | memory 1/10 | yes |",
        "|  | 52.7 ms, 5.0 MiB | product (limit) | 26.4 ms, 1.0 MiB "
        "| **2** (1.25 to 2.5) | 2 | 1.6 of its time | **no** |",
    ]
    assert lines[-1] == "- `recall`: 3 to 7 samples, 1 dropped; loop: apart 0.25. Tried so."


def test_a_run_before_with_other_threads_is_not_set_beside():
    text = table.table({"recall": [record(), record(ratio=9.0, threads=1)]})
    assert "| **9.1** (8.8 to 9.4) |  | 7 times as fast | yes |" in text


def test_a_failed_row_says_so_in_the_table():
    failed = {"script": "a", "row": "x", "title": "a row", "failed": "Different: 1 | 2"}
    text = table.table({"x": [failed], "recall": [record()]})
    assert "| a row | failed: Different: 1 / 2 | | | | | | no |" in text
    assert "2 of 3 floors are met; 1 rows failed." in text


def test_the_table_is_written_between_its_markers_and_nothing_else_changes(tmp_path):
    readme, folder = tmp_path / "README.md", tmp_path / "results"
    readme.write_text(f"before\n{table.BEGIN}\nold\n{table.END}\nafter | it\n")
    results.keep(record(), folder)
    for _ in range(2):
        table.write(readme, folder)
        text = readme.read_text()
        assert text.startswith(f"before\n{table.BEGIN}\nMachine: a machine")
        assert text.endswith(f"Tried so.\n{table.END}\nafter | it\n")
        assert "old" not in text


@pytest.mark.parametrize(
    "text", ["", table.BEGIN, f"{table.END}\n{table.BEGIN}", table.BEGIN + table.END * 2]
)
def test_a_readme_without_its_markers_is_left_alone(tmp_path, text):
    readme = tmp_path / "README.md"
    readme.write_text(text)
    with pytest.raises(ValueError, match="once each"):
        table.write(readme, tmp_path)
    assert readme.read_text() == text


def test_the_readme_has_room_for_the_table():
    text = table.README.read_text()
    assert (text.count(table.BEGIN), text.count(table.END)) == (1, 1)


def test_rows_are_read_from_a_script_and_no_two_scripts_have_one_of_the_same_name(tmp_path: Path):
    script = tmp_path / "rows.py"
    script.write_text("ROWS = [Row('one', 'a title', make), Row('two', 'another', make)]\n")
    assert rows_of(script) == ["one", "two"]
    names = Counter(name for path in FOLDER.glob("*.py") for name in rows_of(path))
    assert names["recall-1k"] == 1
    assert set(names.values()) == {1}


def test_only_rows_that_failed_for_a_busy_machine_are_measured_once_more(tmp_path: Path):
    for row, failed in (
        ("slow", "benchmarks.side_by_side.TooBusy: slow: kept 1"),
        ("wrong", "Different: far"),
    ):
        results.keep({"row": row, "failed": failed}, tmp_path)
    results.keep({"row": "good"}, tmp_path)
    assert busy(["slow", "wrong", "good"], tmp_path) == ["slow"]


def test_the_run_before_is_the_last_that_did_not_fail(tmp_path: Path):
    for run in ({"ratio": 1}, {"failed": "TooBusy"}, {"ratio": 2}):
        results.keep({"row": "a", **run}, tmp_path)
    assert [run["ratio"] for run in results.runs_of("a", tmp_path)] == [2, 1]
