"""The GPU page: its rows run without a card, its counts are those worked out by hand, failures are told."""

import argparse
import json
import re
import subprocess
from pathlib import Path

import pytest
import torch

from benchmarks import gpu
from benchmarks.gpu import gru_flops, gru_gradient_flops, here, measure, products_in, waits
from benchmarks.gpu_page import FOLDER, kept, page, roofline, write
from benchmarks.gpu_rows import CASES
from benchmarks.gpu_works import ADAMW_BYTES, REGION_WIDTH, REGIONS

CPU = torch.device("cpu")
PEAKS = {"fp32": 50e12, "tf32": 400e12, "bf16": 800e12, "copy": 4e12}
FOUND = {
    "median_s": 0.01,
    "quartiles_s": [0.009, 0.011],
    "samples": 5,
    "items": 128,
    "flops": 2e12,
    "least_bytes": 1e10,
    "compile_s": None,
    "peak_mib": 1234.5,
    "waits": {"mmx/engine/stage_run.py:99": 1},
}


def record(**variants: object) -> dict:
    rows = {"minilm": {"title": "some work", "unit": "things", "convolves": False, "variants": variants}}
    about = {"card": "NVIDIA H200", "date": "today", "machine": "a machine", "torch": "2"}
    return {**about, "peaks": PEAKS, "rows": rows}


def test_a_search_is_measured_and_its_products_and_bytes_are_those_by_hand() -> None:
    found = measure(CASES["search-1m-256"], "fp32", CPU, tiny=True)

    assert found["items"] == 256 and found["median_s"] > 0 and found["peak_mib"] is None
    assert found["flops"] == 2 * 256 * 2000 * 512
    assert found["least_bytes"] == 4 * 2000 * 512


def test_a_training_step_is_the_engines_own_and_counts_its_weights_and_its_batch() -> None:
    found = measure(CASES["mh-cvse"], "bf16", CPU, tiny=True)

    batch = 4 * 4 * REGIONS * REGION_WIDTH
    assert found["items"] == 4 and found["fed"]["median_s"] > 0
    assert found["least_bytes"] > batch + ADAMW_BYTES * REGION_WIDTH * 32
    assert found["flops"] > 3 * 2 * 4 * REGIONS * REGION_WIDTH * 32


def test_an_extraction_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    here("vit-b32", ["fp32"], CPU, tiny=True)

    found = json.loads(capsys.readouterr().out)
    assert found["variant"] == "fp32" and found["items"] == 16 and found["flops"] > 0


def test_a_row_that_runs_out_of_memory_says_so_and_the_next_one_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(case: object, variant: str, *_: object) -> dict:
        if variant == "fp32":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")
        if variant == "tf32":
            raise ValueError("other")
        return {"median_s": 1.0}

    monkeypatch.setattr(gpu, "measure", fail)
    here("vit-b32", ["fp32", "tf32", "bf16"], CPU, tiny=True)

    first, second, third = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["failed"] == "out of memory: CUDA out of memory"
    assert "ValueError" in second["failed"] and third["median_s"] == 1


def test_what_was_measured_before_a_row_broke_off_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = argparse.Namespace(within=5.0, device="cpu", tiny=True)
    line = '{"variant": "fp32", "median_s": 1.0}\n'

    def late(words: list[str], **_: object) -> None:
        raise subprocess.TimeoutExpired(words, 4, output=line.encode(), stderr=None)

    monkeypatch.setattr(subprocess, "run", late)
    found = gpu.apart("vit-b32", ["fp32", "bf16"], asked, 4.0)
    assert found == {"fp32": {"median_s": 1.0}, "bf16": {"failed": "not done within 4 s"}}

    dead = subprocess.CompletedProcess([], -9, stdout=line, stderr="words\nCUDA error: so\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: dead)
    found = gpu.apart("vit-b32", ["fp32", "bf16"], asked, 4.0)
    assert found["fp32"] == {"median_s": 1.0}
    assert found["bf16"] == {"failed": "ended with -9; CUDA error: so"}


def test_a_row_for_which_no_time_is_left_says_so() -> None:
    asked = argparse.Namespace(within=5.0)

    assert gpu.apart("vit-b32", ["fp32"], asked, 0.0) == {"fp32": {"failed": "not begun within 5 s"}}


def test_products_are_in_tf32_within_that_variant_alone() -> None:
    for variant, expected in (("fp32", "highest"), ("tf32", "high"), ("bf16", "highest")):
        with products_in(variant):
            assert torch.get_float32_matmul_precision() == expected
    assert torch.get_float32_matmul_precision() == "highest"


def test_a_recurrent_layer_is_counted_by_its_matrices() -> None:
    # 7 words 5 wide into 3 gates of 4: in each direction 3 x 4 x (5 + 4) weights, used once a word
    weights = [[12, 5], [12, 4], [12], [12]] * 2

    assert gru_flops([7, 5], weights, 4, None) == 7 * 2 * 2 * 12 * 9
    assert gru_gradient_flops([7, 5], weights, 4, None) == 2 * 7 * 2 * 2 * 12 * 9


def test_nothing_waits_for_a_card_that_is_not_there() -> None:
    assert waits(lambda: None, CPU) is None


def test_the_roofline_is_held_against_the_peak_of_the_same_precision() -> None:
    row = {"convolves": False}

    assert roofline(row, "fp32", FOUND, PEAKS) == pytest.approx((2e14 / 50e12, 0.25))
    assert roofline(row, "bf16, compiled", FOUND, PEAKS) == pytest.approx((0.25, 0.25))
    assert roofline({"convolves": True}, "fp32", FOUND, PEAKS) == pytest.approx((0.5, 0.25))
    assert roofline(row, "fp32", FOUND, {"failed": "so"}) is None


def test_the_page_holds_what_was_found_and_what_failed(tmp_path: Path) -> None:
    write(record(bf16=FOUND, fp32={"failed": "out of memory"}), list(CASES), tmp_path)
    text = (tmp_path / "gpu.md").read_text()

    cells = "10 ms (9 ms to 11 ms) | 12,800 things | 200 | 25% | 1e+03 | 25% | **25%** | 1,234 | 1 |"
    assert f"| some work | bf16 | {cells}" in text
    assert "|  | fp32 | out of memory |" in text
    assert "bf16 800 TFLOP/s (data sheet: 989.5)" in text and "copy 4000 GB/s (data sheet: 4800)" in text
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len(table) == 4 and len({line.count("|") for line in table}) == 1


def test_a_later_run_of_other_rows_keeps_those_before(tmp_path: Path) -> None:
    write(record(bf16=FOUND), list(CASES), tmp_path)
    later = record(fp32=FOUND) | {"date": "tomorrow", "peaks": {**PEAKS, "bf16": 4 * PEAKS["bf16"]}}
    later["rows"] = {"vit-b32": later["rows"]["minilm"]}
    write(later, list(CASES), tmp_path)

    assert list(kept(tmp_path)[0]["rows"]) == ["vit-b32", "minilm"]
    # against the peaks of its own day
    assert re.search(r"some work \(today\) \| bf16 .* 25% .* 25%", (tmp_path / "gpu.md").read_text())


def test_the_page_is_what_its_records_say_and_says_when_there_are_none() -> None:
    assert (FOLDER / "gpu.md").read_text() == page(kept())
    assert "It has not been run on a card yet" in page([])


def test_it_refuses_a_card_that_is_not_there_and_full_size_without_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, said in ((["--device", "cpu"], "add --tiny"), ([], "sees no CUDA card")):
        monkeypatch.setattr("sys.argv", ["gpu", *words])
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        with pytest.raises(SystemExit) as end:
            gpu.main()
        assert end.value.code == 2 and said in capsys.readouterr().err
