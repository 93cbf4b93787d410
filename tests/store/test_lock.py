"""exclusive: one process at a time, and a forked worker that outlives its parent holds nothing."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mmx.store.lock import exclusive

HOLDER = """
import os, sys, time
from mmx.store.lock import exclusive
with open(sys.argv[1], "a") as file, exclusive(file):
    if os.fork() == 0:
        print("worker at work", flush=True)
        time.sleep(60)
        os._exit(0)
    time.sleep(60)
"""


def test_a_second_holder_is_refused_until_the_first_lets_go(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with path.open("a") as first, path.open("a") as second:
        with exclusive(first), pytest.raises(BlockingIOError), exclusive(second):
            pass
        with exclusive(second):
            pass


def test_a_worker_that_outlives_its_killed_parent_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as holder:
        assert holder.stdout.readline() == "worker at work\n"
        try:
            os.kill(holder.pid, signal.SIGKILL)
            holder.wait()
            with path.open("a") as file, exclusive(file):
                pass
        finally:
            os.killpg(holder.pid, signal.SIGKILL)
