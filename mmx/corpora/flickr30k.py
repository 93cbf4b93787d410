"""flickr30k: 31,783 photos with five captions each (Young, Lai, Hodosh and Hockenmaier, TACL 2014)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from mmx.core.corpus import Corpus, Reading
from mmx.core.errors import DataError, UsageError
from mmx.core.record import SPLITS, Record
from mmx.core.seeded_split import seeded_split
from mmx.corpora._captions import (
    CaptionTable,
    listed_records,
    read_caption_dict,
    read_pipe_csv,
    read_token_file,
    records_of,
)
from mmx.corpora._karpathy import read_karpathy
from mmx.corpora._options import whole_number
from mmx.corpora._raw_folder import find_file, find_pictures

TOKENS = ("results_20130124.token", "results.token")
PIPES = ("results.csv",)
KARPATHY = ("dataset_flickr30k.json", "dataset.json")
# Two published families of dictionaries: captions with the picture's path last, and captions alone.
DICTIONARIES: dict[str, dict[str, tuple[str, ...]]] = {
    "split.json": {"train": ("train.json",), "val": ("validation.json", "val.json"), "test": ("test.json",)},
    "flickr30k_split_data.json": {split: (f"flickr30k_{split}_data.json",) for split in SPLITS},
}
LISTS = {
    "train": ("flickr30k_train.txt", "train.txt"),
    "val": ("flickr30k_val.txt", "val.txt", "validation.txt"),
    "test": ("flickr30k_test.txt", "test.txt"),
}
PICTURES = ("flickr30k-images", "flickr30k_images", "images", "Images")
SPLIT_RULES = ("karpathy", "seed80")
# 80 of 100 images train; the rest is shared by val, which selects, and test, which reports.
EIGHTY = {"train": 0.8, "val": 0.2}
LAYOUT = (
    f"{TOKENS[0]} or {PIPES[0]} with split lists (train.txt, val.txt, test.txt), or {KARPATHY[0]}, or "
    "train.json, validation.json and test.json; and the pictures in flickr30k-images."
)


def read(raw: Path, options: Mapping[str, str]) -> Reading:
    """The form that lies in the folder, under the published split or a seeded one.

    Raises:
        DataError: when no captions are there, or no lists for the published split.
    """
    rule, seed = options["split"], whole_number("seed", options)
    if rule not in SPLIT_RULES:
        raise UsageError(f"split='{rule}' is not possible. Splits are: {', '.join(SPLIT_RULES)}.")
    reading = _read_form(raw, rule)
    return _split_anew(reading, seed) if rule == "seed80" else reading


def _read_form(raw: Path, rule: str) -> Reading:
    images = find_pictures(raw, PICTURES)
    karpathy = find_file(raw, KARPATHY)
    if karpathy:
        return read_karpathy(karpathy, images)
    for names, read_table in ((TOKENS, read_token_file), (PIPES, read_pipe_csv)):
        path = find_file(raw, names)
        if path:
            table = read_table(path)
            if rule == "seed80":
                return _reading(records_of(table.captions, "train", table), images, table)
            return _with_lists(table, raw, path, images)
    for family in DICTIONARIES.values():
        paths = {split: path for split, names in family.items() if (path := find_file(raw, names))}
        if paths:
            return _from_dictionaries(paths, images)
    raise DataError(f"no captions of Flickr30k are in '{raw}'. Expected there: {LAYOUT}")


def _with_lists(table: CaptionTable, raw: Path, source: Path, images: Path) -> Reading:
    lists = {split: path for split, names in LISTS.items() if (path := find_file(raw, names))}
    if not lists:
        raise DataError(
            f"'{source}' has no split lists beside it. Put train.txt, val.txt and test.txt there, "
            f"or {KARPATHY[0]}, or split by a seed: --set split=seed80"
        )
    records = []
    for split, path in lists.items():
        found, odd = listed_records(path, split, table)
        records += found
        table.remarks += odd
    return _reading(records, images, table)


def _from_dictionaries(paths: Mapping[str, Path], images: Path) -> Reading:
    """Every dictionary is a split; its own list is not needed."""
    whole, records = CaptionTable(), []
    for split, path in paths.items():
        table = read_caption_dict(path)
        records += records_of(table.captions, split, table)
        whole.rejects += table.rejects
        whole.remarks += [f"read '{path.name}' as {split}", *table.remarks]
    return _reading(records, images, whole)


def _reading(records: Sequence[Record], images: Path, table: CaptionTable) -> Reading:
    return Reading(records, images, remarks=tuple(table.remarks), rejects=table.rejects)


def _split_anew(reading: Reading, seed: int) -> Reading:
    split = seeded_split([record.id for record in reading.records], seed, EIGHTY)
    records = [replace(record, split=split[record.id]) for record in reading.records]
    remark = f"split 80/20 into train and val by image with seed {seed}, not the published split"
    return replace(reading, records=records, remarks=(*reading.remarks, remark), drawn=frozenset(split))


CORPUS = Corpus(
    summary="31,783 photos with five captions each (Young et al. 2014).",
    layout=LAYOUT,
    read=read,
    options={"split": "karpathy", "seed": "0"},
)
