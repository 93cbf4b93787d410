"""Random damage to every artefact: refused in words, or loaded as it was; never other values or a crash.

`MMX_MUTATIONS` says how often each is damaged; `python -m tests.faults.mutations FOLDER 1000` does it a
thousand times and prints the counts that docs/trust.md shows.
"""

import json
import os
from pathlib import Path

import pytest

from mmx.core.errors import ArtifactError
from tests.faults.artefacts import Artefact, artefacts
from tests.faults.mutations import RIGHT, SECONDS, spoil_often
from tests.faults.world import CPU, MODEL, Answer, copied, mmx

TIMES = int(os.environ.get("MMX_MUTATIONS", "20"))
PASSING = {"date", "seconds", "command", "peak_memory_mib"}
NAMES = (
    "manifest", "concepts", "features of pictures", "features of captions", "run", "run with assets",
    "state of a stopped run", "head", "calibration", "ranks", "index", "compressed index", "second look",
)  # fmt: skip
COMMANDS = {
    "manifest": ("evaluate", "first", "--json", *CPU),
    "features of pictures": ("evaluate", "first", "--json", *CPU),
    "run": ("evaluate", "first", "--json", *CPU),
    "run with assets": ("evaluate", "counted", "--json", *CPU),
    "head": ("evaluate", "head", "--json", *CPU),
    "ranks": ("evaluate", "second", "--compare", "first", "--json", *CPU),
    "calibration": ("search", "red", "--run", "first", "--min-score", "50%", "--json", "--no-sheet", *CPU),
    "index": ("search", "red", "--in", "PHOTOS", *MODEL, "--no-refresh", "--no-sheet", "--json", *CPU),
}


@pytest.fixture(scope="module")
def place(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the world in which files are spoiled and put back."""
    root = tmp_path_factory.mktemp("mutations") / "world"
    copied(world, root)
    return root


@pytest.fixture(scope="module")
def found(place: Path) -> dict[str, Artefact]:
    return artefacts(place, with_shipped=False)


@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_artefact_is_refused_or_equal(name: str, found: dict[str, Artefact]) -> None:
    others = [file for artefact in found.values() for file in artefact.files]

    outcomes = spoil_often(found[name], others, TIMES, seed=TIMES)

    assert [outcome for outcome in outcomes if outcome[1] not in RIGHT] == []


def test_all_kinds_of_artefacts_are_damaged(found: dict[str, Artefact]) -> None:
    assert set(found) == set(NAMES)
    assert all(artefact.files for artefact in found.values())


def said(answer: Answer) -> object:
    """What a command says of the data, without what differs from one time to the next."""
    document = json.loads(answer.out)
    return {name: value for name, value in document.items() if name not in PASSING}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_over_a_damaged_artefact_gives_its_answer_or_an_exit_code(
    name: str, place: Path, world: Path, found: dict[str, Artefact]
) -> None:
    words = [world / "photos" if word == "PHOTOS" else word for word in COMMANDS[name]]

    def typed() -> object:
        answer = mmx(place / "home", *words)
        if answer.is_typed_error:
            raise ArtifactError(answer.err)
        return said(answer)

    others = [file for artefact in found.values() for file in artefact.files]
    outcomes = spoil_often(Artefact(found[name].files, typed), others, max(2, TIMES // 10), seed=7)

    assert [outcome for outcome in outcomes if outcome[1] not in RIGHT] == [], SECONDS
