"""Lists of what there is: whatever is damaged hides nothing else."""

from pathlib import Path

import pytest

from mmx.core.home import Home
from mmx.workflows.extras import list_extras
from mmx.workflows.listings import list_datasets
from tests.small_corpus import make_corpus


def test_a_damaged_dataset_is_listed_as_damaged_beside_the_others(home: Home) -> None:
    make_corpus(home, "broken")
    make_corpus(home, "whole")
    (home.dataset("broken") / "corpus.json").write_text("{")

    rows = {row.name: row for row in list_datasets(home)}

    assert "mmx prepare broken" in rows["broken"].damage and rows["broken"].prepared == {}
    assert rows["whole"].prepared["test"] == 10 and not rows["whole"].damage
    assert rows["toy"].prepared == {} and not rows["toy"].damage


def install(place: Path, lines: list[str]) -> None:
    """Make it look as if pip had installed an mmx of these lines there."""
    folder = place / "mmx-0.0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(
        "\n".join(["Metadata-Version: 2.1", "Name: mmx", "Version: 0.0", *lines, ""])
    )


def test_an_extra_is_installed_when_all_its_packages_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(
        tmp_path,
        [
            "Requires-Dist: surely-not-there>=1",
            *(f"Provides-Extra: {name}" for name in ("tests", "lacking", "old")),
            'Requires-Dist: pytest>=1; extra == "tests"',
            'Requires-Dist: pytest>=1; extra == "lacking"',
            'Requires-Dist: no-such-package>=1; extra == "lacking"',
            'Requires-Dist: pytest>=999; extra == "old"',
        ],
    )
    monkeypatch.syspath_prepend(str(tmp_path))

    rows = {row.name: row for row in list_extras()}

    assert {name: row.missing for name, row in rows.items()} == {
        "lacking": ("no-such-package",),
        "old": ("pytest",),
        "tests": (),
    }
    assert rows["old"].install == "pip install 'mmx[old]'"
