"""A home with a small corpus of drawn pictures and runs that explain their scores, built once."""

import shutil
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image, ImageDraw

from mmx.core.home import Home
from mmx.core.record import Record
from mmx.core.reporter import SilentReporter
from mmx.store.manifest import write_manifest
from mmx.workflows.method_settings import Wishes
from mmx.workflows.train import TrainSettings, train

FOLDER = TemporaryDirectory(prefix="mmx-explained-")
"""Goes with the process."""
COUNTS = {"train": 10, "val": 4}
COLOURS = ("red", "green", "blue", "white")
SMALL = ("epochs=1", "width=8", "heads=2", "concepts=4")
RUNS = {
    "words": SMALL,
    "tokens": (*SMALL, "text=encoder", "text_encoder=random:bert", "consensus=false", "mirror=true"),
    "detector": (*SMALL, "image_encoder=random:faster-rcnn"),
}


def explained_home(folder: Path) -> Home:
    """A copy that a test may change."""
    shutil.copytree(_built().root, folder)
    return Home(folder)


@cache
def _built() -> Home:
    home = Home(Path(FOLDER.name))
    write_corpus(home)
    for run, assignments in RUNS.items():
        wishes = Wishes(preset="tiny", assignments=assignments)
        settings = TrainSettings("mh-cvse", "drawn", wishes, 0, "cpu", out=home.runs / run, home=home.root)
        train(settings, SilentReporter())
    return home


def write_corpus(home: Home) -> None:
    """A square of a colour on the left or on the right of a wide grey picture, with two captions each."""
    root, records = home.dataset("drawn") / "images", {}
    root.mkdir(parents=True)
    for split, count in COUNTS.items():
        records[split] = []
        for number in range(count):
            colour, left = COLOURS[number % len(COLOURS)], number % 2 == 0
            picture = Image.new("RGB", (96, 64), "grey")
            ImageDraw.Draw(picture).rectangle((8, 16, 40, 48) if left else (56, 16, 88, 48), fill=colour)
            picture.save(root / f"{split}-{number}.png")
            side = "left" if left else "right"
            captions = (f"a {colour} square on the {side}", f"{colour} square, {side}")
            records[split].append(Record(f"{split}-{number}", split, f"{split}-{number}.png", captions))
    write_manifest(home.dataset("drawn"), "drawn", root, records, (), {})
