"""oxford_pets: 7,349 photos of 37 breeds of cats and dogs (Parkhi et al. 2012)."""

from collections.abc import Mapping
from pathlib import Path

from mmx.core.corpus import Corpus, Reading
from mmx.core.errors import DataError
from mmx.core.record import Record
from mmx.corpora._class_lists import OPTIONS, draw_val
from mmx.corpora._coop_split import PATTERN, class_names, find_split, read_split
from mmx.corpora._raw_folder import find_file, find_pictures, read_lines

LISTS = {"train": "trainval.txt", "test": "test.txt"}
LAYOUT = f"{PATTERN}, or annotations/{' and '.join(LISTS.values())}; and the photos in images."


def read(raw: Path, options: Mapping[str, str]) -> Reading:
    """CoOp's split where it lies in the folder, else the official lists with val drawn from train.

    Raises:
        DataError: when neither is there, or a list is broken.
    """
    split = find_split(raw)
    if split is not None:
        return read_split(split, ("images",))
    paths = {name: found for name, file in LISTS.items() if (found := find_file(raw, [file]))}
    if not paths:
        raise DataError(f"no lists of the Pets are in '{raw}'. Expected there: {LAYOUT}")
    records: list[Record] = []
    classes: dict[int, str] = {}
    remarks: list[str] = []
    for name, path in paths.items():
        lines, odd = read_lines(path)
        remarks += odd
        for number, line in enumerate(lines, start=1):
            if line.strip() and not line.startswith("#"):
                records.append(_record(f"{path.name}:{number}", line, name, classes))
    names = class_names(raw, classes)
    return draw_val(Reading(records, find_pictures(raw, ("images",)), names, tuple(remarks)), options)


def _record(place: str, line: str, split: str, classes: dict[int, str]) -> Record:
    """`Abyssinian_100 1 1 1`: name without extension, class from 1 on, species, breed."""
    words = line.split()
    breed, underscore, _ = words[0].rpartition("_")
    if len(words) != 4 or not underscore or not words[1].isdigit() or int(words[1]) < 1:
        raise DataError(f"{place} is '{line.strip()}', not like 'Abyssinian_100 1 1 1'. Mend it.")
    label, name = int(words[1]) - 1, breed.lower()
    if classes.setdefault(label, name) != name:
        raise DataError(
            f"{place} calls class {words[1]} '{name}', and before it was '{classes[label]}'. Mend it."
        )
    image = f"{words[0]}.jpg"
    return Record(image, split, image, label=label)


CORPUS = Corpus(
    summary="7,349 photos of 37 breeds of cats and dogs (Parkhi et al. 2012).",
    layout=LAYOUT,
    read=read,
    options=OPTIONS,
    prompts=("a photo of a {}, a type of pet.",),
)
