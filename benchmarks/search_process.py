"""A search as a whole process, from the shell's line to the printed paths: mmx beside rclip and numpy.

    python benchmarks/search_process.py [--rows 7000] [--rclip PYTHON] [--rounds 7]

All are given the same random vectors, 512 wide, and none of them a model: a query is a vector that is there
already. So this is the time of everything else: starting, opening what is kept, ranking, and printing ten
paths. `rclip` is run by the Python it is installed for, with its own data base, its own ranking, and what its
model says of a text replaced. `cold` means that the kept files were dropped from memory before (Linux);
libraries stay in it. The server is `mmx serve`, asked over HTTP when it has started. Printed as JSON: median
seconds and quartiles, and the greatest memory of a process.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

WIDTH, HITS = 512, 10
QUERY = "a dog on the grass"
PHOTOS = "/photos"
FINGERPRINT = "benchmark"

RCLIP = """
import sys, numpy, rclip.main as main, rclip.model as model
vector = numpy.load(sys.argv.pop(1))[0]
model.Model.ensure_downloaded = lambda self: None
model.Model.compute_features_for_queries = lambda self, queries: vector if queries else 0 * vector
sys.argv[0] = "rclip"
main.os.getcwd = lambda: "/photos"
main.main()
"""
RCLIP_FILL = """
import sys, numpy, pathlib, rclip.db as db
kept = db.DB(pathlib.Path(sys.argv[2]) / "db.sqlite3")
for row, vector in enumerate(numpy.load(sys.argv[1], mmap_mode="r")):
    name = f"/photos/{row}.jpg"
    image = dict(filepath=name, modified_at=0.0, size=1, vector=vector.tobytes(), hash=None)
    kept.upsert_image(image, commit=False)
kept.close()
"""
NUMPY = """
import sys, numpy
vectors, query = numpy.load(sys.argv[1], mmap_mode="r"), numpy.load(sys.argv[2])[0]
for row in numpy.argsort(-(vectors @ query))[:10]: print(f"/photos/{row}.jpg")
"""


class Known:
    """A matcher whose sentences all have the vector that was kept."""

    name, fingerprint, opened = "benchmark", FINGERPRINT, None

    def __init__(self, query: Path) -> None:
        import numpy
        import torch

        self._query = torch.from_numpy(numpy.load(query))

    def knows(self, sentence: str) -> bool:
        """Any."""
        return True

    def encode_texts(self, captions: Sequence[str]):  # noqa: ANN201
        """[C, D], the same for each."""
        return self._query.expand(len(captions), -1)


def as_mmx(query: Path, words: Sequence[str]) -> None:
    """Be `mmx` with those words, and with a matcher that knows one vector."""
    from mmx.cli.app import main
    from mmx.workflows import searcher

    searcher.open_matcher = lambda *_: Known(query)
    searcher.newest_run = lambda *_: SimpleNamespace(name="benchmark", path=query)
    sys.argv = ["mmx", *words]
    main()


def fill(rows: int, folder: Path, rclip: str | None) -> None:
    """The same vectors in each tool's own form."""
    import numpy
    import torch
    from torch.nn.functional import normalize

    from mmx.core.home import Home
    from mmx.store.entries import Entry
    from mmx.store.index import Gallery
    from mmx.workflows.galleries import GALLERY, index_folder

    random = torch.Generator().manual_seed(0)
    vectors = normalize(torch.randn(rows, WIDTH, generator=random), dim=1)
    numpy.save(folder / "vectors.npy", vectors.numpy())
    numpy.save(folder / "query.npy", normalize(torch.randn(1, WIDTH, generator=random), dim=1).numpy())
    place = index_folder(Home.find(folder / "home"), Path(PHOTOS), FINGERPRINT)
    place.mkdir(parents=True)
    entries = [Entry(f"{row}.jpg", f"{PHOTOS}/{row}.jpg") for row in range(rows)]
    Gallery(PHOTOS, FINGERPRINT, entries, vectors).save(place / GALLERY)
    if rclip is not None:
        (folder / "rclip").mkdir()
        subprocess.run([rclip, "-c", RCLIP_FILL, folder / "vectors.npy", folder / "rclip"], check=True)


def forget(folder: Path) -> None:
    """Drop what is kept from memory."""
    os.sync()
    for path in folder.rglob("*"):
        if path.is_file():
            handle = os.open(path, os.O_RDONLY)
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(handle)


def one_process(command: Sequence[str], folder: Path) -> tuple[float, float, list[str]]:
    """Seconds, greatest memory in megabytes, and the ten names that were printed."""
    env = {**os.environ, "MMX_HOME": str(folder / "home"), "RCLIP_DATADIR": str(folder / "rclip")}
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env) as process:
        printed = process.stdout.read().decode()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    taken = time.perf_counter() - began
    if process.returncode:
        raise SystemExit(f"{command} ended with {process.returncode}")
    return taken, used.ru_maxrss / 1e3, [line.split()[-1].strip('"') for line in printed.splitlines()]


def serve_times(mmx: Sequence[str], folder: Path, rounds: int) -> dict[str, float]:
    """What a server takes to be ready, and then for an answer."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    words = ["serve", "--in", PHOTOS, "--no-refresh", "--port", port]
    env = {**os.environ, "MMX_HOME": str(folder / "home")}
    began = time.perf_counter()
    with subprocess.Popen(
        [*mmx, *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env
    ) as server:
        server.stdout.readline()
        asked = f"http://127.0.0.1:{port}/api/search?query=dog&top={HITS}"
        times, ready = [], None
        while len(times) < 3 * rounds:
            start = time.perf_counter()
            try:
                urllib.request.urlopen(asked, timeout=60).read()
            except OSError:
                time.sleep(0.02)
                continue
            ready = ready or time.perf_counter() - began
            times.append(time.perf_counter() - start)
        server.terminate()
    return {"ready_s": ready, **_summary(times[1:])}


def _summary(times: Sequence[float]) -> dict[str, float]:
    low, middle, high = statistics.quantiles(times, n=4)
    return {"s": middle, "low_s": low, "high_s": high}


def main() -> None:
    """Fill, measure in turn, print."""
    words = argparse.ArgumentParser()
    words.add_argument("--rows", type=int, default=7000)
    words.add_argument("--rclip", help="the Python that rclip is installed for")
    words.add_argument("--rounds", type=int, default=7)
    given = words.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # In a process of its own: what it takes would be counted with those that follow.
        filler = [
            sys.executable,
            __file__,
            "--fill",
            str(given.rows),
            name,
            *([given.rclip] if given.rclip else []),
        ]
        subprocess.run(filler, check=True)
        query, vectors = str(folder / "query.npy"), str(folder / "vectors.npy")
        mmx = [sys.executable, __file__, "--as-mmx", query]
        tools = {
            "mmx search": [
                *mmx,
                "search",
                QUERY,
                "--in",
                PHOTOS,
                "--no-refresh",
                "--paths",
                "--top",
                str(HITS),
            ],
            "numpy argsort": [sys.executable, "-c", NUMPY, vectors, query],
        }
        if given.rclip is not None:
            tools["rclip"] = [given.rclip, "-c", RCLIP, query, "--no-indexing", "-f", "-t", str(HITS), QUERY]
        found: dict[str, dict[str, list[float]]] = {
            tool: {"cold": [], "warm": [], "mb": []} for tool in tools
        }
        names = {tool: one_process(command, folder)[2] for tool, command in tools.items()}
        if len({tuple(found) for found in names.values()}) > 1:
            raise SystemExit(f"the tools do not agree: {names}")
        for _ in range(given.rounds):
            for tool, command in tools.items():
                forget(folder)
                for state in ("cold", "warm"):
                    taken, memory, _ = one_process(command, folder)
                    found[tool][state].append(taken)
                    found[tool]["mb"].append(memory)
        about = {
            tool: {
                "cold": _summary(times["cold"]),
                "warm": _summary(times["warm"]),
                "megabytes": max(times["mb"]),
            }
            for tool, times in found.items()
        }
        about["mmx serve"] = serve_times(mmx, folder, given.rounds)
        sys.stdout.write(json.dumps({"rows": given.rows, "tools": about}, indent=1) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--as-mmx"]:
        as_mmx(Path(sys.argv[2]), sys.argv[3:])
    elif sys.argv[1:2] == ["--fill"]:
        fill(int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4] if len(sys.argv) > 4 else None)
    else:
        main()
