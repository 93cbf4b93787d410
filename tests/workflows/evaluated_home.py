"""A home with two small corpora and three trained runs, each built once for all tests that copy it."""

import shutil
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from mmx.core.home import Home
from mmx.core.record import Record
from mmx.core.reporter import SilentReporter
from mmx.store.manifest import write_manifest
from mmx.store.run import RunFolder
from mmx.workflows.method_settings import Wishes
from mmx.workflows.train import TrainSettings, train

FOLDER = TemporaryDirectory(prefix="mmx-evaluated-")
"""Goes with the process."""
COUNTS = {"train": 16, "val": 10, "test": 8}
COLOURS = ("red", "green", "blue", "white", "black", "yellow")


STUBS = Path(__file__).parents[1] / "two_stage"
"""The folder of a method of two stages, whose ranks are worked out by hand."""


def add_two_stages(home: Home, name: str = "two", weight: float = 1.0) -> RunFolder:
    """A run of the method in STUBS, which is to be on the path, on the corpus `small`."""
    shutil.copytree(_two_stages(weight), home.runs / name)
    return RunFolder.open(home.runs / name)


@cache
def _two_stages(weight: float) -> Path:
    home = fresh_home(Path(FOLDER.name) / f"weight-{weight}")
    wishes = Wishes(preset="tiny", assignments=(f"weight={weight}",))
    settings = TrainSettings("colour-pairs", "small", wishes, 0, "cpu", out=home.runs / "two", home=home.root)
    return train(settings, SilentReporter()).run


def fresh_home(folder: Path) -> Home:
    """A copy that a test may change."""
    shutil.copytree(_built().root, folder)
    return Home(folder)


@cache
def _built() -> Home:
    home = Home(Path(FOLDER.name) / "built")
    for name in ("small", "other"):
        write_corpus(home, name, len(name))
    for run, dataset, seed in (("first", "small", 0), ("second", "small", 1), ("stranger", "other", 0)):
        wishes = Wishes(preset="tiny", assignments=("epochs=1",))
        settings = TrainSettings(
            "attention-clip", dataset, wishes, seed, "cpu", out=home.runs / run, home=home.root
        )
        train(settings, SilentReporter())
    return home


def write_corpus(home: Home, name: str, seed: int) -> None:
    """Plain pictures with one to three captions; the last picture of val has none."""
    root, records = home.dataset(name) / "images", {}
    root.mkdir(parents=True)
    for split, count in COUNTS.items():
        records[split] = []
        for number in range(count):
            colour = COLOURS[(number + seed) % len(COLOURS)]
            Image.new("RGB", (24, 24), colour).save(root / f"{split}-{number}.png")
            texts = tuple(
                f"{colour} picture {number} of {name} {words}" for words in ("", "again", "once more")
            )
            kept = () if (split, number) == ("val", count - 1) else texts[: number % 3 + 1]
            records[split].append(Record(f"{split}-{number}", split, f"{split}-{number}.png", kept))
    write_manifest(home.dataset(name), name, root, records, (), {})
