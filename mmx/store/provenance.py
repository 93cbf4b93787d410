"""What software made an artefact: versions of the packages that decide its numbers, and mmx's own commit."""

import importlib.metadata
import platform
import subprocess
from pathlib import Path

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
