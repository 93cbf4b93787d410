"""A package of somebody else as pip would leave it: a module, and a folder that says what it declares."""

import tomllib
from collections.abc import Mapping
from pathlib import Path

Groups = Mapping[str, Mapping[str, str]]
"""By group of entry points: name -> `module:attribute`."""


def write_metadata(folder: Path, name: str, version: str, requires: list[str], groups: Groups) -> None:
    """What makes a folder on the path a package that is installed."""
    place = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    place.mkdir(parents=True)
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    place.joinpath("METADATA").write_text("\n".join([*lines, *(f"Requires-Dist: {one}" for one in requires)]))
    place.joinpath("entry_points.txt").write_text(
        "\n".join(
            f"[{group}]\n" + "\n".join(f"{name} = {value}" for name, value in entries.items())
            for group, entries in groups.items()
        )
    )


def write_plugin(
    folder: Path, group: str, name: str, source: str, package: str = "somebodys", requires: str = "mmx>=0.1"
) -> None:
    """A package that brings `PART` of a module with this source."""
    module = f"{package.replace('-', '_')}_{name.replace('-', '_')}_module"
    folder.mkdir(exist_ok=True)
    (folder / f"{module}.py").write_text(source)
    write_metadata(folder, package, "1.5", [requires], {group: {name: f"{module}:PART"}})


def write_project(folder: Path, project: Path) -> None:
    """What a project's own pyproject.toml declares."""
    said = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    write_metadata(folder, said["name"], said["version"], said["dependencies"], said["entry-points"])
