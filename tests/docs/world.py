"""A folder as the pages suppose it: photos with captions, an album, crops, posts; all of it drawn here."""

import csv
import json
import shutil
from pathlib import Path

from PIL import Image

from mmx.core.home import Home
from mmx.core.reporter import SilentReporter
from mmx.store.manifest import Manifest
from mmx.workflows.method_settings import Wishes
from mmx.workflows.prepare import PrepareSettings, prepare
from mmx.workflows.train import TrainSettings, train
from tests.post_corpus import write_sentiments

NAMES = ("dog", "beach", "pool", "new-photo")
"""What the pages call the first photos."""
SCENES = {"scenes": "40", "size": "32"}
"""As the commands of the pages are typed here, so that features of the scenes stay what they are."""


def write_world(folder: Path, home: Home) -> None:
    """Everything that a page names, in a folder to be worked in. The toy scenes are prepared, and what pages
    say of other people's data: an album and posts; one run is there.
    """
    quiet = SilentReporter()
    prepare(PrepareSettings(name="toy", home=home.root, options=SCENES, workers=1), quiet)
    scenes = [
        record
        for split in ("train", "val", "test")
        for record in Manifest.open(home.dataset("toy")).split(split)
    ]
    root = Manifest.open(home.dataset("toy")).image_root
    photos = _photos(folder / "photos", [(root / scene.image, scene.captions) for scene in scenes])
    for name in ("pool", "new-photo"):
        shutil.copy(folder / "photos" / f"{name}.jpg", folder)
    (folder / "photos" / "summer").mkdir()
    shutil.copy(folder / "photos" / "beach.jpg", folder / "photos" / "summer" / "again.jpg")
    _table(folder / "captions.csv", ("image", "caption"), [(f"photos/{name}", said) for name, said in photos])
    _table(folder / "named.csv", ("file", "text"), [(f"photos/{name}", said) for name, said in photos])
    _table(
        folder / "album.csv",
        ("image", "stars"),
        [(name, place % 6) for place, (name, _) in enumerate(photos)],
    )
    _album(folder / "album", [root / scene.image for scene in scenes])
    _crops(folder, [(root / scene.image, scene.captions[0]) for scene in scenes])
    _posts(folder)
    write_sentiments(folder / "sentiments")
    _shapes(folder / "shapes3k", [(scene.split, root / scene.image, scene.captions) for scene in scenes])
    for name, raw in (("mine", "album"), ("mine-posts", "posts.jsonl")):
        prepare(PrepareSettings(name=name, raw=str(folder / raw), home=home.root, workers=1), quiet)
    train(
        TrainSettings("attention-clip", "toy", Wishes(preset="tiny", flags={"epochs": 1}), home=home.root),
        quiet,
    )


def _name(number: int) -> str:
    return f"{NAMES[number] if number < len(NAMES) else number}.jpg"


def _photos(folder: Path, scenes: list[tuple[Path, tuple[str, ...]]]) -> list[tuple[str, str]]:
    """JPEGs under the names of the pages, with their captions beside them -> name and caption of each row."""
    folder.mkdir()
    rows = []
    for number, (picture, captions) in enumerate(scenes):
        name = _name(number)
        Image.open(picture).convert("RGB").save(folder / name, quality=90)
        rows += [(name, said) for said in captions[:2]]
    _table(folder / "captions.csv", ("image", "caption"), rows)
    return rows


def _album(folder: Path, pictures: list[Path]) -> None:
    """Two classes, of halves of the scenes."""
    for number, picture in enumerate(pictures):
        place = folder / ("beach", "forest")[number % 2] / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(picture, place)


def _crops(folder: Path, scenes: list[tuple[Path, str]]) -> None:
    """Two crops of each of twenty people."""
    (folder / "crops").mkdir()
    rows = []
    for number, (picture, said) in enumerate(scenes):
        shutil.copy(picture, folder / "crops" / f"{number}.png")
        rows.append((f"crops/{number}.png", said, number // 2))
    _table(folder / "crops.csv", ("image", "caption", "identity"), rows)


def _posts(folder: Path) -> None:
    """Posts with tags, some with a picture, and some that are new."""
    said = ("Anna B-PER met O Bob B-PER", "rain O in O York B-LOC", "nothing O new O today O")
    rows = []
    for number in range(30):
        parts = said[number % 3].split()
        row = {"id": str(number), "words": [*parts[::2], str(number)], "tags": [*parts[1::2], "O"]}
        rows.append(row | {"image": f"photos/{_name(number)}"} if number % 4 else row)
    (folder / "posts.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    new = [{"id": "a", "text": "Anna met rain in York"}, {"id": "b", "text": "nothing new"}]
    (folder / "new.jsonl").write_text("\n".join(json.dumps(row) for row in new))


def _shapes(folder: Path, scenes: list[tuple[str, Path, tuple[str, ...]]]) -> None:
    """The data set of the page on adding one."""
    (folder / "pictures").mkdir(parents=True)
    lines = []
    for split, picture, captions in scenes:
        shutil.copy(picture, folder / "pictures" / picture.name)
        lines += [f"{split}\t{picture.name}\t{said}" for said in captions]
    (folder / "list.tsv").write_text("\n".join(lines))


def _table(path: Path, head: tuple[str, ...], rows: list[tuple[object, ...]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([head, *rows])
