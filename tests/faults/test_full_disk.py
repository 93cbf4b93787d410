"""A disk that is full, or a place that cannot be written, at each command: exit 6, and nothing lost."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.world import CPU, MODEL, TINY, done, mmx

NEW_RUN = ("--dataset", "toy", *TINY, "--epochs", 1, "--out")
FEW = ("fewshot", "colours", "--method", "nearest-mean", "--shots", 1, "--seeds", 1, *CPU)
IMPORT = ("extract", "toy", "--encoder", "mine", "--images", "val.npy", "--split", "val", *CPU)
SEARCH = ("search", "red", "--run", "first", *CPU)


@contextmanager
def disk_of(size: int) -> Iterator[None]:
    """No file may grow beyond so many bytes, as on a disk with no more room."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def contents(folder: Path) -> dict[str, bytes]:
    """Every artefact below a folder, by name; locks are none."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and "lock" not in path.name)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


COMMANDS = {
    "prepare": (("prepare", "colours", "--raw", "RAW", "--seed", 7), 100),
    "extract": (("extract", "toy", "--encoder", "random:clip", "--overwrite", *CPU), 4000),
    "import": ((*IMPORT, "--import", "ARRAYS", "--ids", "val.txt"), 100),
    "train": (("train", "attention-clip", *NEW_RUN, "OUT"), 50_000),
    "train, at its settings": (("train", "attention-clip", *NEW_RUN, "OUT"), 100),
    "resume": (("train", "--resume", "stopped", *CPU), 50_000),
    "evaluate": (("evaluate", "first", "--split", "test", *CPU), 100),
    "evaluate --gallery": (("evaluate", "first", "--gallery", "OUT.html", *CPU), 4000),
    "search, its gallery": ((*SEARCH, "--rebuild", "--no-sheet"), 1000),
    "search, its sheet": ((*SEARCH, "--sheet", "OUT.png"), 1000),
    "search, its page": ((*SEARCH, "--no-sheet", "--html", "OUT.html"), 1000),
    "fewshot": ((*FEW, "--encoder", "random:clip", "--out", "OUT"), 300),
    "index add": (("index", "add", "PHOTOS", *MODEL, "--run", "first"), 500),
    "index refresh": (("index", "refresh", "PHOTOS", "--rebuild"), 500),
    "index remove": (("index", "remove", "PHOTOS", "red.png"), 500),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk_is_exit_6_with_the_old_artefacts_intact_and_no_litter(
    name: str, spoiled: Path, world: Path, tmp_path: Path
) -> None:
    words, size = COMMANDS[name]
    places = {
        "RAW": world / "classes", "OUT": tmp_path / "out", "OUT.png": tmp_path / "out.png",
        "OUT.html": tmp_path / "out.html", "PHOTOS": world / "photos", "ARRAYS": world,
    }  # fmt: skip
    words = [places.get(word, word) if isinstance(word, str) else word for word in words]
    if name == "index add":
        words = [word for word in words if word not in MODEL]
    before = contents(spoiled)

    with disk_of(size):
        answer = mmx(spoiled, *words)

    assert answer.code == 6, (answer.out, answer.err)
    assert "no space left to write" in answer.err and "Traceback" not in answer.err
    after = contents(spoiled)
    # a log is cut back on resume; ranks are measured again, and their header has its names in any order
    kept = {path for path in before if path != "runs/stopped/log.jsonl" and "/ranks/" not in path}
    assert {path: after.get(path) for path in kept} == {path: before[path] for path in kept}
    assert not list(tmp_path.rglob(".mmx-tmp-*"))


def test_what_a_full_disk_stopped_goes_on_to_the_same_end(spoiled: Path, world: Path) -> None:
    whole = contents(spoiled / "features")
    with disk_of(4000):
        assert mmx(spoiled, "extract", "toy", "--encoder", "random:clip", "--overwrite", *CPU).code == 6
    done(spoiled, "extract", "toy", "--encoder", "random:clip", "--overwrite", *CPU)
    assert contents(spoiled / "features") == whole

    with disk_of(50_000):
        assert mmx(spoiled, "train", "--resume", "stopped", *CPU).code == 6
    done(spoiled, "train", "--resume", "stopped", *CPU)


BLOCKED = {
    "prepare": (("prepare", "new", "--raw", "RAW"), "datasets"),
    "extract": (("extract", "toy", "--encoder", "random:resnet", *CPU), "features"),
    "train": (("train", "attention-clip", *NEW_RUN, "BLOCKED/run"), "out"),
    "fewshot": ((*FEW, "--encoder", "random:clip", "--out", "BLOCKED/run"), "out"),
    "evaluate --gallery": (("evaluate", "first", "--gallery", "BLOCKED/page.html", *CPU), "out"),
    "search --sheet": ((*SEARCH, "--sheet", "BLOCKED/sheet.png"), "out"),
    "search --html": ((*SEARCH, "--no-sheet", "--html", "BLOCKED/page.html"), "out"),
    "index add": (("index", "add", "RAW", *MODEL), "indexes"),
}


@pytest.mark.parametrize("name", BLOCKED)
def test_a_place_that_cannot_be_written_is_found_before_any_work(
    name: str, spoiled: Path, world: Path, tmp_path: Path
) -> None:
    """A file stands where a folder is needed; it stops root too, whom no permission does."""
    words, where = BLOCKED[name]
    place = tmp_path / "out" if where == "out" else spoiled / where
    if place.exists():
        place.rename(place.with_name("away"))
    place.write_text("")
    words = [
        str(word).replace("BLOCKED", str(place)).replace("RAW", str(world / "classes")) for word in words
    ]

    answer = mmx(spoiled, *words)

    assert answer.code == 6, (answer.out, answer.err)
    assert "cannot be written" in answer.err and "Traceback" not in answer.err
    for work in ("checking pictures", "epoch", "embedding", "encode photos", "records in"):
        assert work not in answer.err
    assert place.read_text() == ""
