"""The packages that the pages on adding a method, a data set and an encoder write, as pip leaves them."""

import tomllib
from pathlib import Path

import pytest

from tests.pages import ROOT, code_of
from tests.plugin_package import write_metadata

WRITTEN = {"add-a-method": "best_patch", "add-a-corpus": "shapes3k", "add-an-encoder": "colour_grid"}
"""By page: the module that its code is."""


def install(site: Path, patch: pytest.MonkeyPatch) -> None:
    """Write each page's code and what it declares into a folder on the path."""
    site.mkdir()
    for name, module in WRITTEN.items():
        page = ROOT / "docs" / f"{name}.md"
        (site / f"{module}.py").write_text("\n\n".join(code_of(page, "python")))
        said = tomllib.loads(code_of(page, "toml")[0])["project"]
        write_metadata(site, f"mmx-{module}", "0.1.0", ["mmx>=0.1"], said["entry-points"])
    patch.syspath_prepend(str(site))
