"""What is kept of a row's measurement: the records of its last two runs, and the machine."""

import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "results"


def machine() -> str:
    """The processor, its cores, memory, and what runs on it."""
    cpu = platform.processor() or platform.machine()
    listed = Path("/proc/cpuinfo")
    if listed.exists():
        lines = listed.read_text().splitlines()
        cpu = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), cpu)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    runs = f"{platform.system()}, Python {platform.python_version()}"
    return f"{cpu}, {os.cpu_count()} cores, {memory:.0f} GiB, {runs}"


def runs_of(name: str, folder: Path = FOLDER) -> list[dict[str, Any]]:
    """Records of the last run of a row and of the last one before it that did not fail, newest first."""
    path = folder / f"{name}.json"
    return json.loads(path.read_text())["runs"] if path.exists() else []


def keep(record: Mapping[str, Any], folder: Path = FOLDER) -> None:
    """Put a record before the last one of its row that did not fail; older ones go."""
    folder.mkdir(exist_ok=True)
    runs = [record, *[run for run in runs_of(record["row"], folder) if "failed" not in run][:1]]
    (folder / f"{record['row']}.json").write_text(json.dumps({"runs": runs}, indent=1) + "\n")


def best_kept(about: Mapping[str, Any], folder: Path = FOLDER) -> float:
    """The best probe of all records of this machine, with these threads and this clock."""
    runs = [
        run for path in folder.glob("*.json") for run in runs_of(path.stem, folder) if "failed" not in run
    ]
    return max((run["probe_gflops"] for run in runs if about.items() <= run.items()), default=0.0)


def told(record: Mapping[str, Any]) -> str:
    """A record in a line."""
    median = record["contestants"][record["ours"]]["median_s"]
    parts = [f"{record['row']} ({record['wall_s']:.0f} s): {record['ours']} {1e3 * median:.4g} ms"]
    for goal in record["goals"]:
        floor = "" if goal["floor"] is None else f" ({goal['kind']} {goal['floor']:g}: {goal['met']})"
        parts.append(f"{goal['peer']} {goal['ratio']:.2f}x{floor}")
    return "; ".join(parts)
