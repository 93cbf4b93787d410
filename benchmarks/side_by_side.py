"""The one way to put a time of mmx beside a peer's: how a row of the table is written, measured and kept.

A script of rows (`recall_metrics.py` is a short one) declares them and ends with `main(__file__, ROWS)`:

    def make(quick: bool) -> Match:
        vectors = draw(100 if quick else 5000)
        sort = lambda: argsort(vectors)
        return Contestant("mmx", lambda: ranks(vectors)), [
            Peer("torch argsort", sort, compare=same_ranks, origin="written here", faster=4),
            Peer("product", lambda: vectors @ vectors.T, compare=not_compared, origin="limit", within=1.6),
        ]

    ROWS = [Row("recall-1k", "recall metrics, 1,000 x 5,000", make, packages=("clip-benchmark",))]

    if __name__ == "__main__":
        main(__file__, ROWS)

`python -m benchmarks.NAME [--only ROW ..] [--quick] [--threads N] [--clock cpu]` measures the rows of a
script, each in a process of its own with the number of threads fixed; `make bench` those of all scripts.
Import a peer inside `make`, so that one that is missing fails its own row and no other. `quick` asks for a
small shape: it shows that a row works, and its times count for nothing.

What happens to a row: every contestant runs once, untimed, and each peer's `compare(mine, theirs)` must not
raise `Different`; what it returns is kept as figures. Then rounds in which all take their turn, with a
product of matrices before and after every sample as a probe of the machine; samples whose probe is under
75% of the best seen are dropped. What takes less than a fifth of a second is repeated within a sample; a peer
that takes more than two seconds is sampled three times, however often mmx is. Where
the row asks for memory, each contestant runs once more in a fresh process, and what its resident memory rose
by is kept. The record goes to benchmarks/results/ROW.json, beside that of the run before; of a quick run none
is kept.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from benchmarks.results import best_kept, keep, machine, told
from benchmarks.samples import CLOCKS, Clock, Sample, Samples, extra_memory, probe

SAMPLE_SECONDS = 0.2
TRIES = 3
"""A row goes on for so many times its rounds while samples are dropped."""
LEAST = 3
"""Fewer samples than these (or than the rounds asked for) say nothing."""
SLOW = 2.0
"""Seconds of a call from which a peer takes no more samples than the least."""


class Different(Exception):
    """Two contestants do not give the same result; the words say how far they are apart."""


class TooBusy(Exception):
    """The probe dropped nearly all samples of a contestant."""


@dataclass(frozen=True)
class Contestant:
    """What is timed. `work` gives the result that is compared; a state it needs lives in its closure."""

    name: str
    work: Callable[[], Any]
    share: float = 1.0
    """Its time is given times this: 20 where it does a twentieth of the work, which the table says."""
    before: Callable[[], object] | None = None
    """Run before each sample, untimed: to empty a folder, say. Such a sample is one call of `work`."""
    rounds: int | None = None
    """At most so many samples, for one that is slow."""


@dataclass(frozen=True, kw_only=True)
class _Goal:
    compare: Callable[[Any, Any], Mapping[str, float]]
    """(mine, theirs) -> figures to keep, such as a cosine; raises `Different`."""
    origin: str
    """"as published", "transcribed" (by us, from its description), "written here", or "limit"."""
    faster: float | None = None
    """mmx is to be at least so many times as fast."""
    within: float | None = None
    """mmx is to take at most so many times as long."""
    smaller: float | None = None
    """mmx's extra memory is to be at most one so-many-th of its."""


@dataclass(frozen=True)
class Peer(_Goal, Contestant):
    """A contestant that mmx is held against."""


Match = tuple[Contestant, Sequence[Peer]]


@dataclass(frozen=True)
class Row:
    """A row of work. `note` says what was tried, and what a reader should know."""

    name: str
    title: str
    make: Callable[[bool], Match]
    rounds: int = 7
    seconds: float = 30.0
    """No new round begins after this, once every contestant has the least number of samples."""
    memory: bool = False
    packages: tuple[str, ...] = ()
    """Distributions whose versions belong to the row, beside torch and numpy."""
    note: str = ""


def not_compared(mine: object, theirs: object) -> Mapping[str, float]:
    """For a limit, whose result is not that of the work."""
    return {}


def check(ours: Contestant, peers: Sequence[Peer]) -> tuple[dict[str, dict[str, float]], dict[str, float]]:
    """Run each untimed and compare: (peer -> figures, contestant -> seconds of a call, about)."""
    figures, seconds, mine = {}, {}, None
    for each in (ours, *peers):
        if each.before is not None:
            each.before()
        began = time.perf_counter()
        result = each.work()
        seconds[each.name] = time.perf_counter() - began
        if seconds[each.name] < SAMPLE_SECONDS and each.before is None:  # the first call loads and makes room
            began = time.perf_counter()
            each.work()
            seconds[each.name] = time.perf_counter() - began
        if isinstance(each, Peer):
            figures[each.name] = dict(each.compare(mine, result))
        else:
            mine = result
    return figures, seconds


def measure(
    entered: Sequence[Contestant],
    row: Row,
    first: Mapping[str, float],
    best: float,
    probed: Clock,
    clock: Clock,
) -> tuple[dict[str, Samples], float]:
    """Rounds in which all take their turn: (contestant -> its samples, the best probe).

    `first` has the seconds of a call, by which short work is repeated within a sample; `best` is the best
    probe of other rows, `probed` takes one.
    """
    few = {each.name: _few(each, first[each.name]) for each in entered}
    found = {each.name: Samples(min(row.rounds, few[each.name] or row.rounds)) for each in entered}
    began, before = time.perf_counter(), probed()
    for _ in range(TRIES * row.rounds):
        for each in entered:
            samples = found[each.name]
            if few[each.name] is not None and len(samples.kept(best)) >= samples.wanted:
                continue
            seconds, after = _timed(each, first[each.name], clock), probed()
            samples.add(Sample(seconds, min(before, after)))
            before, best = after, max(best, before, after)
        counts = [(len(samples.kept(best)), samples.wanted) for samples in found.values()]
        late = time.perf_counter() - began > row.seconds
        if all(count >= (min(LEAST, wanted) if late else wanted) for count, wanted in counts):
            return found, best
    if any(len(samples.kept(best)) < min(LEAST, samples.wanted) for samples in found.values()):
        raise TooBusy(f"{row.name}: samples kept by the probe {counts}; best {best:.0f} GFLOP/s")
    return found, best


def _few(each: Contestant, first: float) -> int | None:
    """At most so many samples; None for as many as the row takes."""
    if each.rounds is None and isinstance(each, Peer) and first > SLOW:
        return LEAST
    return each.rounds


def _timed(each: Contestant, first: float, clock: Clock) -> float:
    repeats = 1 if each.before else min(max(round(SAMPLE_SECONDS / max(first, 1e-9)), 1), 1000)
    if each.before is not None:
        each.before()
    began = clock()
    for _ in range(repeats):
        each.work()
    return (clock() - began) / repeats


def goals(peers: Sequence[Peer], times: Mapping[str, Any], ours: str) -> list[dict[str, Any]]:
    """What each peer's floors ask for and what was reached; the spread is that of opposite quartiles."""
    found = []
    low, high = times[ours]["quartiles_s"]
    for peer in peers:
        theirs = times[peer.name]
        ratio = theirs["median_s"] / times[ours]["median_s"]
        spread = [theirs["quartiles_s"][0] / high, theirs["quartiles_s"][1] / low]
        about = {"peer": peer.name, "ratio": ratio, "spread": spread}
        if peer.faster is not None:
            found.append(about | {"kind": "faster", "floor": peer.faster, "met": ratio >= peer.faster})
        if peer.within is not None:
            found.append(about | {"kind": "within", "floor": peer.within, "met": ratio * peer.within >= 1})
        if peer.smaller is not None:
            smaller = theirs["memory_mib"] / max(times[ours]["memory_mib"], 0.1)
            about = {"peer": peer.name, "ratio": smaller, "kind": "smaller"}
            found.append(about | {"floor": peer.smaller, "met": smaller >= peer.smaller})
        if (peer.faster, peer.within, peer.smaller) == (None, None, None):
            found.append(about | {"kind": "beside", "floor": None, "met": None})
    return found


def record_of(row: Row, asked: argparse.Namespace) -> dict[str, Any]:
    """Check, measure, weigh; in this process, but for memory."""
    began = time.perf_counter()
    versions = {name: version(name) for name in ("torch", "numpy", *row.packages)}
    ours, peers = row.make(asked.quick)
    figures, first = check(ours, peers)
    clock = CLOCKS[asked.clock]
    about = {"machine": machine(), "threads": asked.threads, "clock": asked.clock}
    if asked.quick:
        found, best = measure([ours, *peers], replace(row, rounds=1), first, 0.0, lambda: 1.0, clock)
    else:
        found, best = measure([ours, *peers], row, first, best_kept(about), lambda: probe(clock), clock)
    times = {each.name: found[each.name].summary(best, each.share) for each in (ours, *peers)}
    if row.memory:
        for each in (ours, *peers):
            apart = _apart(row, asked, "--memory", each.name)
            apart.check_returncode()
            times[each.name]["memory_mib"] = float(apart.stdout.splitlines()[-1])
    return {
        **_named(row, asked),
        "note": row.note,
        "date": date.today().isoformat(),
        "wall_s": time.perf_counter() - began,
        **about,
        "probe_gflops": best,
        "versions": versions,
        "ours": ours.name,
        "contestants": times,
        "origins": {peer.name: peer.origin for peer in peers},
        "goals": goals(peers, times, ours.name),
        "figures": figures,
    }


def _named(row: Row, asked: argparse.Namespace) -> dict[str, str]:
    return {"script": asked.script, "row": row.name, "title": row.title}


def _apart(row: Row, asked: argparse.Namespace, *more: str) -> subprocess.CompletedProcess[str]:
    """A row of a script in a process of its own, with its threads fixed before anything is loaded."""
    words = [sys.executable, "-m", f"benchmarks.{asked.script}", "--here", "--only", row.name, *more]
    words += ["--threads", str(asked.threads), "--clock", asked.clock, *(["--quick"] if asked.quick else [])]
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")
    fixed = os.environ | {name: str(asked.threads) for name in names}
    root = Path(__file__).parents[1]
    return subprocess.run(words, env=fixed, cwd=root, capture_output=True, text=True)


def main(file: str, rows: Sequence[Row]) -> None:
    """Measure the rows asked for; the exit code is 1 where one failed."""
    parser = argparse.ArgumentParser(description=f"Rows: {', '.join(row.name for row in rows)}.")
    parser.add_argument("--only", nargs="+", metavar="ROW", choices=[row.name for row in rows])
    parser.add_argument("--quick", action="store_true", help="Small shapes; nothing is kept.")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--clock", choices=tuple(CLOCKS), default="wall")
    parser.add_argument("--here", action="store_true", help="Measure in this process.")
    parser.add_argument("--memory", metavar="CONTESTANT", help="Only print its extra MiB.")
    asked = parser.parse_args(namespace=argparse.Namespace(script=Path(file).stem))
    chosen = [row for row in rows if asked.only is None or row.name in asked.only]
    if asked.here:
        torch.set_num_threads(asked.threads)
        torch.manual_seed(0)
        _here(chosen[0], asked)
    elif [row for row in chosen if not _measured(row, asked)]:
        raise SystemExit(1)


def _here(row: Row, asked: argparse.Namespace) -> None:
    if asked.memory:
        for quick in (True, asked.quick):  # the first one loads what is loaded once
            ours, peers = row.make(quick)
            work = next(each.work for each in (ours, *peers) if each.name == asked.memory)
            extra = extra_memory(work)
        sys.stdout.write(f"{extra}\n")
        return
    record = record_of(row, asked)
    if asked.quick:
        sys.stdout.write(f"{row.name} works\n")
    else:
        keep(record)
        sys.stdout.write(told(record) + "\n")


def _measured(row: Row, asked: argparse.Namespace) -> bool:
    done = _apart(row, asked)
    sys.stdout.write(done.stdout)
    if done.returncode:
        sys.stderr.write(done.stderr)
        words = done.stderr.strip().splitlines() or [f"ended with {done.returncode}"]
        sys.stderr.write(f"{row.name} failed: {words[-1]}\n")
        if not asked.quick:
            keep({**_named(row, asked), "failed": words[-1]})
    return done.returncode == 0
