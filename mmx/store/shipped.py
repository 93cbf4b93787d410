"""The run that comes with the package, for whoever has photos and has trained nothing yet."""

from pathlib import Path

from mmx.core.home import Home

SHIPPED = Path(__file__).parents[1] / "shipped"


def results_place(run: Path, home: Home) -> Path:
    """Where what is measured of a run is kept: beside its weights; of one that came with mmx, whose folder is
    not to be written, in the home.
    """
    return home.root / "shipped" / run.name if is_shipped(run) else run


def is_shipped(run: Path) -> bool:
    """Whether it lies in the package."""
    return run.resolve().is_relative_to(SHIPPED.resolve())


def shipped_run() -> Path | None:
    """Its folder; None where a package was built without it."""
    found = sorted(path.parent for path in SHIPPED.glob("*/settings.json"))
    return found[0] if found else None
