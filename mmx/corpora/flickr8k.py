"""flickr8k: 8,000 photos with five captions each (Hodosh, Young and Hockenmaier, JAIR 2013)."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from mmx.core.corpus import Corpus, Reading
from mmx.core.errors import DataError, UsageError
from mmx.core.record import Record
from mmx.core.seeded_split import seeded_order, seeded_split
from mmx.corpora._captions import (
    CaptionTable,
    Form,
    match_names,
    read_caption_csv,
    read_names,
    read_token_file,
    records_of,
)
from mmx.corpora._karpathy import read_karpathy
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


def read(raw: Path | None, options: Mapping[str, str]) -> Reading:
    """The form that lies in the folder: token file with lists, Karpathy's JSON, or captions.txt.

    Raises:
        DataError: when none of them is there.
    """
    if raw is None:
        raise UsageError(f"flickr8k needs its files: --raw FOLDER. Expected there: {LAYOUT}")
    holdout, seed = _whole("holdout", options), _whole("seed", options)
    form = _read_form(raw, seed)
    if holdout:
        form = hold_out(form, holdout, seed)
    return Reading(
        form.records,
        find_pictures(raw, PICTURES),
        remarks=tuple(form.remarks),
        rejects=form.rejects,
        drawn=form.drawn,
    )


def hold_out(form: Form, size: int, seed: int) -> Form:
    """Records of train become val; the official val becomes test if there is none, else it is left out.

    Raises:
        UsageError: when train has not that many.
    """
    train = [record.id for record in form.records if record.split == "train"]
    if size >= len(train):
        raise UsageError(f"holdout={size} is too much: train has {len(train)} images. Take fewer.")
    held = set(seeded_order(train, seed)[:size])
    has_test = any(record.split == "test" for record in form.records)
    official = [record for record in form.records if not (has_test and record.split == "val")]
    moved = {"train": "train", "val": "test", "test": "test"}
    records = [
        replace(record, split="val" if record.split == "train" and record.id in held else moved[record.split])
        for record in official
    ]
    fate = "is left out, since there is a test list" if has_test else "is the test split"
    remark = f"{size:,} images of train are held out as val (seed {seed}); the official val list {fate}"
    return Form(records, form.rejects, [*form.remarks, remark], form.drawn | frozenset(train))


def _read_form(raw: Path, seed: int) -> Form:
    token_file = find_file(raw, TOKENS)
    lists = {split: path for split, (name, _) in LISTS.items() if (path := find_file(raw, [name]))}
    karpathy, kaggle = find_file(raw, KARPATHY), find_file(raw, KAGGLE)
    if token_file and lists:
        return _with_lists(read_token_file(token_file), lists)
    if karpathy:
        records, rejects = read_karpathy(karpathy)
        return Form(records, rejects, [f"read '{karpathy.name}'"])
    if kaggle and lists:
        return _with_lists(read_caption_csv(kaggle), lists)
    if token_file or kaggle:
        table = read_token_file(token_file) if token_file else read_caption_csv(kaggle or raw)
        return _with_seed(table, seed)
    raise DataError(f"no captions of Flickr8k are in '{raw}'. Expected there: {LAYOUT}")


def _with_lists(table: CaptionTable, lists: Mapping[str, Path]) -> Form:
    remarks = _drop_known_bad(table)
    records: list[Record] = []
    for split, path in lists.items():
        names, odd = read_names(path)
        found, strange = match_names(names, table.captions)
        remarks += odd
        if strange:
            remarks.append(f"'{path.name}': {len(strange)} names have no captions, such as '{strange[0]}'")
        expected = LISTS[split][1]
        if len(found) != expected:
            remarks.append(f"'{path.name}' gives {len(found):,} images; the published list has {expected:,}")
        records += records_of(found, split, table)
    missing = [name for split, (name, _) in LISTS.items() if split not in lists]
    if missing:
        remarks.append(f"not there: {', '.join(missing)}")
    return Form(records, table.rejects, remarks)


def _with_seed(table: CaptionTable, seed: int) -> Form:
    remarks = _drop_known_bad(table)
    split = seeded_split(list(table.captions), seed)
    records = [record for name in table.captions for record in records_of([name], split[name], table)]
    remarks.append(
        f"no split lists are there: split 80/10/10 by image with seed {seed}, not the published split"
    )
    return Form(records, table.rejects, remarks, frozenset(record.id for record in records))


def _drop_known_bad(table: CaptionTable) -> list[str]:
    dropped = table.captions.pop(KNOWN_BAD, None)
    known = [f"'{KNOWN_BAD}' is a known bad name of the published file; passed over"] if dropped else []
    return [*table.remarks, *known]


def _whole(name: str, options: Mapping[str, str]) -> int:
    if not options[name].isdigit():
        raise UsageError(f"{name}='{options[name]}' is not a whole number from 0 on.")
    return int(options[name])


CORPUS = Corpus(
    summary="8,000 photos with five captions each (Hodosh et al. 2013).",
    layout=LAYOUT,
    read=read,
    options={"holdout": "0", "seed": "0"},
)
