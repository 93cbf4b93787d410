"""food101: 101,000 photos of 101 dishes (Bossard et al. 2014)."""

from collections.abc import Mapping
from pathlib import Path

from mmx.core.corpus import Corpus, Reading
from mmx.core.errors import DataError
from mmx.core.record import Record
from mmx.corpora._class_lists import OPTIONS, draw_val
from mmx.corpora._coop_split import PATTERN, find_split, read_split
from mmx.corpora._raw_folder import find_file, find_pictures, read_json, read_lines

SPLITS = ("train", "test")
LAYOUT = f"{PATTERN}, or meta/train.txt and meta/test.txt (or .json); and the photos in images."


def read(raw: Path, options: Mapping[str, str]) -> Reading:
    """CoOp's split where it lies in the folder, else the official lists with val drawn from train.

    Raises:
        DataError: when neither is there, or a list is broken.
    """
    split = find_split(raw)
    if split is not None:
        return read_split(split, ("images",))
    lists = {name: found for name in SPLITS if (found := find_file(raw, [f"{name}.txt", f"{name}.json"]))}
    if not lists:
        raise DataError(f"no lists of Food-101 are in '{raw}'. Expected there: {LAYOUT}")
    named = [(name, place, photo) for name, path in lists.items() for place, photo in _photos(path)]
    dishes = sorted({photo.partition("/")[0] for _, _, photo in named})
    labels = {dish: label for label, dish in enumerate(dishes)}
    records = [
        Record(f"{photo}.jpg", name, f"{photo}.jpg", label=labels[photo.partition("/")[0]])
        for name, _, photo in named
    ]
    return draw_val(Reading(records, find_pictures(raw, ("images",)), tuple(dishes)), options)


def _photos(path: Path) -> list[tuple[str, str]]:
    """(place in the file, `apple_pie/1005649`) of each photo of a list."""
    if path.suffix == ".json":
        said, _ = read_json(path, dict, "an object with a list of photos for each dish")
        if not all(isinstance(photos, list) for photos in said.values()):
            raise DataError(f"'{path}' does not hold a list of photos for each dish. Fetch it again.")
        found = [
            (f"{path.name}: {dish}[{n}]", photo)
            for dish, photos in said.items()
            for n, photo in enumerate(photos)
        ]
    else:
        lines, _ = read_lines(path)
        found = [(f"{path.name}:{n}", line.strip()) for n, line in enumerate(lines, start=1) if line.strip()]
    for place, photo in found:
        dish, slash, number = str(photo).partition("/")
        if not (isinstance(photo, str) and dish and slash and number):
            raise DataError(f"{place} is '{photo}', not like 'apple_pie/1005649'. Mend it.")
    return found


CORPUS = Corpus(
    summary="101,000 photos of 101 dishes (Bossard et al. 2014).",
    layout=LAYOUT,
    read=read,
    options=OPTIONS,
    prompts=("a photo of {}, a type of food.",),
)
