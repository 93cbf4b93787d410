"""What software made an artefact: versions of the packages that decide its numbers, and mmx's own commit."""

import importlib.metadata
import platform
import subprocess
from pathlib import Path

import torch

from mmx import __version__

PACKAGES = ("torch", "accelerate", "transformers", "torchvision", "safetensors", "datasets")


def versions() -> dict[str, str]:
    """Name -> version of mmx, Python and each package that is installed."""
    found = {"mmx": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def commit() -> str | None:
    """The commit of the source that runs, where it runs from a repository."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "rev-parse", "HEAD"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() if found.returncode == 0 else None


def machine() -> dict[str, str | int | None]:
    """What else decides the last bits: the processor, how many threads share a sum, and the accelerator."""
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def _processor() -> str:
    """Its name as Linux has it; elsewhere what Python knows."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())
