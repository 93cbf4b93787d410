"""flickr30k: 31,783 photos with five captions each (Young, Lai, Hodosh and Hockenmaier, TACL 2014)."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmx.core.corpus import Corpus, Reading
from mmx.core.errors import DataError, UsageError
from mmx.core.record import SPLITS, Record
from mmx.core.seeded_split import seeded_split
from mmx.corpora._captions import (
    CaptionTable,
    Form,
    match_names,
    read_caption_dict,
    read_names,
    read_pipe_csv,
    read_token_file,
    records_of,
)
from mmx.corpora._karpathy import read_karpathy
from mmx.corpora._raw_folder import find_file, find_pictures

TOKENS = ("results_20130124.token", "results.token")
PIPES = ("results.csv",)
KARPATHY = ("dataset_flickr30k.json", "dataset.json")
# Two published families of dictionaries: captions with the picture's path last, and captions alone.
DICTIONARIES = {
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


def read(raw: Path | None, options: Mapping[str, str]) -> Reading:
    """The form that lies in the folder, under the published split or a seeded one.

    Raises:
        DataError: when no captions are there, or no lists for the published split.
    """
    if raw is None:
        raise UsageError(f"flickr30k needs its files: --raw FOLDER. Expected there: {LAYOUT}")
    rule, seed = options["split"], options["seed"]
    if rule not in SPLIT_RULES or not seed.isdigit():
        raise UsageError(
            f"split='{rule}', seed='{seed}' is not possible. Splits are: {', '.join(SPLIT_RULES)}."
        )
    form = _read_form(raw, rule)
    if rule == "seed80":
        form = _split_anew(form, int(seed))
    return Reading(
        form.records,
        find_pictures(raw, PICTURES),
        remarks=tuple(form.remarks),
        rejects=form.rejects,
        drawn=form.drawn,
    )


def _read_form(raw: Path, rule: str) -> Form:
    karpathy = find_file(raw, KARPATHY)
    if karpathy:
        records, rejects = read_karpathy(karpathy)
        return Form(records, rejects, [f"read '{karpathy.name}'"])
    for names, read_table in ((TOKENS, read_token_file), (PIPES, read_pipe_csv)):
        path = find_file(raw, names)
        if path:
            return _with_lists(read_table(path), raw, path, rule)
    for family in DICTIONARIES.values():
        paths = {split: path for split, names in family.items() if (path := find_file(raw, names))}
        if paths:
            return _from_dictionaries(paths)
    raise DataError(f"no captions of Flickr30k are in '{raw}'. Expected there: {LAYOUT}")


def _with_lists(table: CaptionTable, raw: Path, source: Path, rule: str) -> Form:
    if rule == "seed80":
        return Form(records_of(table.captions, "train", table), table.rejects, table.remarks)
    lists = {split: path for split, names in LISTS.items() if (path := find_file(raw, names))}
    if not lists:
        raise DataError(
            f"'{source}' has no split lists beside it. Put train.txt, val.txt and test.txt there, "
            f"or {KARPATHY[0]}, or split by a seed: --set split=seed80"
        )
    records, remarks = [], list(table.remarks)
    for split, path in lists.items():
        names, odd = read_names(path)
        found, strange = match_names(names, table.captions)
        remarks += odd
        if strange:
            remarks.append(f"'{path.name}': {len(strange)} names have no captions, such as '{strange[0]}'")
        records += records_of(found, split, table)
    return Form(records, table.rejects, remarks)


def _from_dictionaries(paths: Mapping[str, Path]) -> Form:
    """Every dictionary is a split; its own list is not needed."""
    records: list[Record] = []
    rejects: list[dict[str, Any]] = []
    remarks: list[str] = []
    for split, path in paths.items():
        table = read_caption_dict(path)
        records += records_of(table.captions, split, table)
        rejects += table.rejects
        remarks += [f"read '{path.name}' as {split}", *table.remarks]
    return Form(records, rejects, remarks)


def _split_anew(form: Form, seed: int) -> Form:
    split = seeded_split([record.id for record in form.records], seed, EIGHTY)
    records = [replace(record, split=split[record.id]) for record in form.records]
    remark = f"split 80/20 into train and val by image with seed {seed}, not the published split"
    return Form(records, form.rejects, [*form.remarks, remark], frozenset(split))


CORPUS = Corpus(
    summary="31,783 photos with five captions each (Young et al. 2014).",
    layout=LAYOUT,
    read=read,
    options={"split": "karpathy", "seed": "0"},
)
