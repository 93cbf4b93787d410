"""mmx train at the keyboard: the table, the document, and the exit code of each mistake."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mmx.core.home import Home
from mmx.core.reporter import SilentReporter
from mmx.workflows.prepare import PrepareSettings, prepare
from tests.typed import typed


@pytest.fixture
def toy(home: Home) -> Home:
    options = {"scenes": "20", "size": "32"}
    prepare(PrepareSettings(name="toy", home=home.root, options=options, workers=1), SilentReporter())
    return home


TINY = ("train", "attention-clip", "--dataset", "toy", "--preset", "tiny", "--device", "cpu")


def test_training_ends_with_a_table_and_the_next_command(
    toy: Home, capsys, monkeypatch, tmp_path: Path
) -> None:
    code, out, err = typed(monkeypatch, capsys, *TINY, "--epochs", "1", "--out", tmp_path / "run")

    assert code == 0
    assert "val rsum" in out and "best epoch" in out
    assert f"next: mmx evaluate {tmp_path / 'run'}" in out
    assert "all epoch 1/1: loss" in err
    assert "note: val has 2 pictures, so that these numbers say little: one of them is 50.0 points" in err
    assert f"mmx compare offline-flickr8k {tmp_path / 'run'} --dataset toy --split val" in err
    assert json.loads((tmp_path / "run" / "settings.json").read_text())["set_by"]["epochs"] == "--epochs"


def test_json_is_one_document_and_nothing_else(toy: Home, capsys, monkeypatch, tmp_path: Path) -> None:
    code, out, _ = typed(monkeypatch, capsys, *TINY, "--epochs", "1", "--out", tmp_path / "run", "--json")

    document = json.loads(out)
    assert code == 0 and document["schema"] == "mmx.train/1"
    assert document["run"] == str(tmp_path / "run") and "rsum" in document["metrics"]


def test_settings_are_shown_with_meaning_source_and_who_set_them(home: Home, capsys, monkeypatch) -> None:
    words = ("train", "attention_clip", "--settings", "--set", "lr=0.25", "--json")
    code, out, _ = typed(monkeypatch, capsys, *words)

    rows = {row["name"]: row for row in json.loads(out)["settings"]}
    assert code == 0
    assert rows["lr"]["value"] == 0.25 and rows["lr"]["set_by"] == "--set" and rows["lr"]["source"]
    code, out, _ = typed(monkeypatch, capsys, *words[:-1])
    assert code == 0 and "set by" in out and "0.25" in out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("train",), 2, "name a method and a dataset"),
        (("train", "attention-clop", "--dataset", "toy"), 2, "Did you mean 'attention-clip'?"),
        (("train", "attention-clip", "--settings", "--set", "lr"), 2, "'lr' is not a setting"),
        (("train", "attention-clip", "--settings", "--set", "lr=fast"), 2, "lr='fast' is not a number"),
        (("train", "attention-clip", "--dataset", "none"), 4, "mmx prepare none"),
        (("train", "--resume", "none"), 4, "there is no run at 'none'"),
    ],
)
def test_each_mistake_has_its_exit_code_and_says_what_to_do(
    words: tuple[str, ...], code: int, message: str, home: Home, capsys, monkeypatch
) -> None:
    found, out, err = typed(monkeypatch, capsys, *words)

    assert (found, out) == (code, "")
    assert err.startswith("mmx: ") and message in err and "Traceback" not in err


def test_help_loads_no_torch() -> None:
    code = (
        "import sys\nsys.argv = ['mmx', 'train', '--help']\nfrom mmx.cli.app import main\n"
        "try:\n    main()\nexcept SystemExit as left:\n"
        "    sys.exit(left.code or int('torch' in sys.modules))\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "NO_COLOR": "1"}
    )

    assert found.returncode == 0, found.stderr
    assert "--resume" in found.stdout


def test_a_batch_in_chunks_is_remembered_and_what_cannot_be_cut_is_refused(
    toy: Home, capsys, monkeypatch, tmp_path: Path
) -> None:
    code, _, _ = typed(monkeypatch, capsys, *TINY, "--epochs", "1", "--chunk", "3", "--out", tmp_path / "run")
    none, _, said = typed(monkeypatch, capsys, *TINY, "--chunk", "0", "--out", tmp_path / "none")
    words = ("train", "mh-cvse", *TINY[2:], "--set", "gate_norm=batch", "--chunk", "3")
    norm, _, cannot = typed(monkeypatch, capsys, *words, "--out", tmp_path / "norm")

    assert code == 0 and json.loads((tmp_path / "run" / "settings.json").read_text())["chunk"] == 3
    assert none == 2 and said.splitlines()[-1].startswith("mmx: --chunk '0' holds no image.")
    assert norm == 2 and "gate_norm=batch measures every batch as a whole" in cannot
    assert not (tmp_path / "none").exists() and not (tmp_path / "norm").exists()


@pytest.mark.parametrize(("rank", "says"), [("0", True), ("1", False)])
def test_runs_one_after_the_other_are_for_one_process_and_the_first_one_says_so(
    rank: str, says: bool, home: Home, capsys, monkeypatch
) -> None:
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", "2")

    code, _, err = typed(monkeypatch, capsys, *TINY, "--sweep", "lr=0.1,0.2")

    assert code == 2 and ("--sweep and --seeds train run after run in one process" in err) == says
    assert bool(err) == says
