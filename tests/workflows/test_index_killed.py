"""kill -9 at twenty random moments of `mmx index add`: the index is whole, and a refresh completes it."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.workflows.killed_index import KILLS, PHOTOS

ROOT = Path(__file__).parents[2]


def test_whenever_an_index_is_killed_it_is_whole_and_a_refresh_completes_it(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.workflows.killed_index", str(tmp_path)],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == KILLS
    for one in found:
        assert one["problems"] == [] and one["equal"]
        assert one["encoded"] == PHOTOS - one["before"]
        assert one["left"] == ["gallery.safetensors", "lock"]
