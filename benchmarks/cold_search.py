"""A cold search with its words: from the line in the shell to the printed paths, by torch and by onnxruntime.

    python benchmarks/cold_search.py --in DIR --run RUN [--home DIR] [--rounds 10] [--refresh]

DIR must be indexed by the run, and the run exported (`mmx export RUN --onnx`). Each round starts a process of
each engine, in turn, on one thread; `start` is a process that imports the command line and nothing else.
Printed as JSON: medians of wall and of processor seconds, and the greatest memory.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence

QUERY, HITS = "man riding cycle", "10"
START = "import mmx.cli.app"


def one(command: Sequence[str], home: str | None) -> tuple[float, float, float, str]:
    """Wall seconds, processor seconds, megabytes, and what was printed."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", **({"MMX_HOME": home} if home else {})}
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env) as process:
        printed = process.stdout.read().decode()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command} ended with {process.returncode}")
    return time.perf_counter() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1e3, printed


def main() -> None:
    """Measure in turn, print."""
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("--in", dest="folder", required=True)
    words.add_argument("--run", required=True)
    words.add_argument("--home")
    words.add_argument("--rounds", type=int, default=10)
    words.add_argument("--refresh", action="store_true")
    given = words.parse_args()
    asked = ["search", QUERY, "--in", given.folder, "--run", given.run, "--top", HITS, "--paths"]
    asked += [] if given.refresh else ["--no-refresh"]
    tools = {
        engine: [sys.executable, "-m", "mmx", *asked, "--engine", engine] for engine in ("torch", "onnx")
    }
    if len({one(command, given.home)[3] for command in tools.values()}) > 1:
        raise SystemExit("the engines do not agree")
    tools["start"] = [sys.executable, "-c", START]
    found: dict[str, list[tuple[float, float, float]]] = {tool: [] for tool in tools}
    for _ in range(given.rounds):
        for tool, command in tools.items():
            found[tool].append(one(command, given.home)[:3])
    names = ("wall_s", "processor_s", "megabytes")
    medians = {
        tool: {
            name: round(statistics.median(column), 3)
            for name, column in zip(names, zip(*rows, strict=True), strict=True)
        }
        for tool, rows in found.items()
    }
    about = {"rounds": given.rounds, "medians": medians}
    sys.stdout.write(json.dumps(about, indent=1) + "\n")


if __name__ == "__main__":
    main()
