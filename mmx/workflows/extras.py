"""The parts of mmx that are installed on request, as its package declares them."""

import importlib.metadata
from dataclasses import dataclass

from packaging.requirements import Requirement


@dataclass(frozen=True)
class ExtraRow:
    """One extra."""

    name: str
    missing: tuple[str, ...]
    """The packages of it that are not there, or too old; none where it is installed."""

    @property
    def install(self) -> str:
        """How to get it."""
        return f"pip install 'mmx[{self.name}]'"


def list_extras() -> list[ExtraRow]:
    """Every extra, by name; none where mmx runs from a folder that pip has not installed."""
    try:
        declared = importlib.metadata.metadata("mmx")
    except importlib.metadata.PackageNotFoundError:
        return []
    needed = [Requirement(line) for line in declared.get_all("Requires-Dist") or []]
    return [
        ExtraRow(name, tuple(wanted.name for wanted in needed if _asked(wanted, name) and not _there(wanted)))
        for name in sorted(declared.get_all("Provides-Extra") or [])
    ]


def _asked(wanted: Requirement, extra: str) -> bool:
    """Whether a requirement is one of an extra, and none without it."""
    marker = wanted.marker
    return marker is not None and marker.evaluate({"extra": extra}) and not marker.evaluate({"extra": ""})


def _there(wanted: Requirement) -> bool:
    try:
        version = importlib.metadata.version(wanted.name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return wanted.specifier.contains(version, prereleases=True)
