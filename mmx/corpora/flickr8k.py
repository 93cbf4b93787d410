"""flickr8k: 8,000 photos with five captions each (Hodosh, Young and Hockenmaier, JAIR 2013)."""

from collections.abc import Mapping
from pathlib import Path

from mmx.core.corpus import Corpus, Reading
from mmx.core.errors import DataError
from mmx.core.record import Record
from mmx.core.seeded_split import seeded_split
from mmx.corpora._captions import (
    CaptionTable,
    listed_records,
    read_caption_csv,
    read_token_file,
    records_of,
)
from mmx.corpora._hold_out import OPTIONS, hold_out
from mmx.corpora._karpathy import read_karpathy
from mmx.corpora._options import whole_number
from mmx.corpora._raw_folder import find_file, find_pictures

TOKENS = ("Flickr8k.token.txt", "Flickr8k.token")
KARPATHY = ("dataset_flickr8k.json", "dataset.json")
KAGGLE = ("captions.txt", "captions.csv")
LISTS = {
    "train": ("Flickr_8k.trainImages.txt", 6000),
    "val": ("Flickr_8k.devImages.txt", 1000),
    "test": ("Flickr_8k.testImages.txt", 1000),
}
PICTURES = ("images", "Flicker8k_Dataset", "Flickr8k_Dataset", "flickr8k_images", "Flickr8k_images")
KNOWN_BAD = "2258277193_586949ec62.jpg.1"
LAYOUT = (
    f"{TOKENS[0]} with {', '.join(name for name, _ in LISTS.values())} (as many as there are); "
    f"or {KARPATHY[0]}; or {KAGGLE[0]}; and the pictures in a folder such as images or Flicker8k_Dataset."
)


def read(raw: Path, options: Mapping[str, str]) -> Reading:
    """The form that lies in the folder: token file with lists, Karpathy's JSON, or captions.txt.

    Raises:
        DataError: when none of them is there.
    """
    return hold_out(_read_form(raw, whole_number("seed", options)), options, "images")


def _read_form(raw: Path, seed: int) -> Reading:
    images = find_pictures(raw, PICTURES)
    token_file = find_file(raw, TOKENS)
    lists = {split: path for split, (name, _) in LISTS.items() if (path := find_file(raw, [name]))}
    karpathy, kaggle = find_file(raw, KARPATHY), find_file(raw, KAGGLE)
    if token_file and lists:
        return _with_lists(read_token_file(token_file), lists, images)
    if karpathy:
        return read_karpathy(karpathy, images)
    if kaggle and lists:
        return _with_lists(read_caption_csv(kaggle), lists, images)
    if token_file or kaggle:
        table = read_token_file(token_file) if token_file else read_caption_csv(kaggle or raw)
        return _with_seed(table, seed, images)
    raise DataError(f"no captions of Flickr8k are in '{raw}'. Expected there: {LAYOUT}")


def _with_lists(table: CaptionTable, lists: Mapping[str, Path], images: Path) -> Reading:
    remarks = _drop_known_bad(table)
    records: list[Record] = []
    for split, path in lists.items():
        found, odd = listed_records(path, split, table)
        records += found
        remarks += odd
        expected = LISTS[split][1]
        if len(found) != expected:
            remarks.append(f"'{path.name}' gives {len(found):,} images; the published list has {expected:,}")
    missing = [name for split, (name, _) in LISTS.items() if split not in lists]
    if missing:
        remarks.append(f"not there: {', '.join(missing)}")
    return Reading(records, images, remarks=tuple(remarks), rejects=table.rejects)


def _with_seed(table: CaptionTable, seed: int, images: Path) -> Reading:
    remarks = _drop_known_bad(table)
    split = seeded_split(list(table.captions), seed)
    records = [record for name in table.captions for record in records_of([name], split[name], table)]
    remarks.append(
        f"no split lists are there: split 80/10/10 by image with seed {seed}, not the published split"
    )
    drawn = frozenset(record.id for record in records)
    return Reading(records, images, remarks=tuple(remarks), rejects=table.rejects, drawn=drawn)


def _drop_known_bad(table: CaptionTable) -> list[str]:
    dropped = table.captions.pop(KNOWN_BAD, None)
    known = [f"'{KNOWN_BAD}' is a known bad name of the published file; passed over"] if dropped else []
    return [*table.remarks, *known]


CORPUS = Corpus(
    summary="8,000 photos with five captions each (Hodosh et al. 2013).",
    layout=LAYOUT,
    read=read,
    options=OPTIONS,
)
