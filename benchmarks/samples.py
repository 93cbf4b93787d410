"""Samples of time and how far to trust them: clocks, the probe of the machine, medians; and peak memory."""

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy
import torch

Clock = Callable[[], float]
PROBE_SHARE = 0.75


def processor_seconds() -> float:
    """Seconds of the processor that this process and its ended children took."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


CLOCKS: dict[str, Clock] = {"wall": time.perf_counter, "cpu": processor_seconds}


def probe(clock: Clock, side: int = 2048) -> float:
    """GFLOP/s of a float32 matrix product."""
    matrix = torch.ones(side, side)
    began = clock()
    matrix @ matrix
    return 2 * side**3 / (clock() - began) / 1e9


@dataclass(frozen=True)
class Sample:
    """Seconds of one call of `work`, and the slower of the probes around it."""

    seconds: float
    probe: float


class Samples:
    """All samples of a contestant; those taken while the machine was slow do not count."""

    def __init__(self, wanted: int) -> None:
        self._all: list[Sample] = []
        self.wanted = wanted

    def add(self, sample: Sample) -> None:
        """One more."""
        self._all.append(sample)

    def kept(self, best: float) -> list[float]:
        """Seconds of the samples whose probe reached 75% of `best`."""
        return [sample.seconds for sample in self._all if sample.probe >= PROBE_SHARE * best]

    def summary(self, best: float, share: float) -> dict[str, float]:
        """Median and quartiles of the whole work, and how many samples they stand on."""
        low, middle, high = (share * float(x) for x in numpy.percentile(self.kept(best), [25, 50, 75]))
        count = len(self.kept(best))
        found = {"median_s": middle, "quartiles_s": [low, high], "samples": count}
        return found | {"dropped": len(self._all) - count, "share": share}


def extra_memory(work: Callable[[], object]) -> float:
    """MiB that resident memory rises above its level before, as the kernel saw it at its highest (Linux)."""

    def held(field: str) -> float:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024

    before = held("VmRSS:")
    Path("/proc/self/clear_refs").write_text("5")  # the highest level begins anew from here
    work()
    return max(held("VmHWM:") - before, 0.0)
