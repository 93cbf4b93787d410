"""The JSON of text-based person search: a list of crops, each with an identity and what people wrote of it.

Three forms are published: one list that names the split of each crop; a file a split, with one caption a row;
and one list without splits.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mmx.core.corpus import Reading
from mmx.core.errors import DataError, UsageError
from mmx.core.record import SPLITS, Record
from mmx.core.seeded_split import seeded_order, seeded_split
from mmx.corpora._options import whole_number
from mmx.corpora._raw_folder import find_file, find_pictures, read_json

PATHS = ("file_path", "img_path")
"""Keys of a crop's path, relative to the folder of pictures."""
OPTIONS = {"annotations": "", "holdout": "0", "seed": "0"}


@dataclass(frozen=True)
class PersonForm:
    """What sets one published data set apart from the others."""

    name: str
    lists: tuple[str, ...]
    """Names of the file that lists everything."""
    split_files: Mapping[str, tuple[str, ...]]
    """Split -> names of the file that lists it alone; empty where there is no such form."""
    images: Mapping[str, int]
    """Split -> how many crops were published."""
    layout: str


def read_people(raw: Path, options: Mapping[str, str], form: PersonForm) -> Reading:
    """The crops with identity, split and captions; a split that is not published is drawn by identity.

    Raises:
        UsageError: for options that cannot be.
        DataError: when no list is there, or one is not what it should be.
    """
    holdout, seed = (whole_number(name, options) for name in ("holdout", "seed"))
    found = _read_lists(raw, options["annotations"], form)
    if any(not record.split for record in found.records):
        found = _draw_splits(found, seed)
    sizes = Counter(record.split for record in found.records)
    odd = [
        f"{split} has {sizes[split]:,} crops; {published:,} were published"
        for split, published in form.images.items()
        if sizes[split] != published
    ]
    found = replace(found, remarks=(*found.remarks, *odd))
    return _hold_out(found, holdout, seed) if holdout else found


def _read_lists(raw: Path, asked: str, form: PersonForm) -> Reading:
    images = find_pictures(raw, ("imgs",))
    whole = find_file(raw, (asked,) if asked else form.lists)
    if whole is not None:
        rows = [(f"{whole.name}: {place}", row) for place, row in enumerate(_crops(whole))]
        return _gather(rows, images, f"read '{whole.name}'")
    by_split = {split: find_file(raw, names) for split, names in form.split_files.items()}
    files = {split: path for split, path in by_split.items() if path is not None}
    if asked or not files:
        there = ", ".join(sorted(path.name for path in raw.glob("*.json"))) or "none"
        hint = "Name one with --set annotations=FILE" if there != "none" else f"Expected: {form.layout}"
        named = f"'{asked}'" if asked else f"no list of {form.name}"
        raise DataError(f"{named} is {'not ' if asked else ''}in '{raw}'; JSON files there: {there}. {hint}")
    rows = [
        (f"{path.name}: {place}", {"split": split, **row} if isinstance(row, dict) else row)
        for split, path in files.items()
        for place, row in enumerate(_crops(path))
    ]
    return _gather(rows, images, f"read {', '.join(path.name for path in files.values())}")


def _crops(path: Path) -> list[Any]:
    return read_json(path, list, "a list with an entry for each crop")[0]


def _gather(rows: Iterable[tuple[str, Any]], images: Path, remark: str) -> Reading:
    """One record a crop, however many rows it has; rows that cannot be used are rejects."""
    records: dict[str, Record] = {}
    rejects = []
    for source, row in rows:
        reason, value = _fault(row), _path(row) or str(row)[:80]
        if reason is None:
            record = _record(row)
            before = records.setdefault(record.id, record)
            if (before.identity, before.split) != (record.identity, record.split):
                reason = f"this crop stood before as identity {before.identity} in '{before.split}'"
            elif before is not record:
                new = [caption for caption in record.captions if caption not in before.captions]
                records[record.id] = replace(before, captions=(*before.captions, *new))
        if reason is not None:
            rejects.append({"source": source, "value": value, "reason": reason})
    return Reading(list(records.values()), images, remarks=(remark,), rejects=rejects)


def _fault(row: Any) -> str | None:
    if not isinstance(row, dict):
        return "not an object"
    if not _path(row):
        return f"no path ({' or '.join(PATHS)})"
    identity = row.get("id")
    if isinstance(identity, bool) or not str(identity).isdecimal():
        return f"no identity ('{identity}' is not a whole number)"
    if row.get("split", "") not in ("", *SPLITS):
        return f"unknown split '{row['split']}'"
    captions = row.get("captions")
    if isinstance(captions, str):
        return None
    if not isinstance(captions, list) or not all(isinstance(caption, str) for caption in captions):
        return "captions are neither a list of texts nor one text"
    return None if captions else "no caption"


def _path(row: Any) -> str:
    found = next((row[key] for key in PATHS if key in row), "") if isinstance(row, dict) else ""
    return found if isinstance(found, str) else ""


def _record(row: Mapping[str, Any]) -> Record:
    path, captions = _path(row), row["captions"]
    return Record(
        id=path.removesuffix(Path(path).suffix),
        split=row.get("split", ""),
        image=path,
        captions=(captions,) if isinstance(captions, str) else tuple(captions),
        identity=int(row["id"]),
    )


def _draw_splits(found: Reading, seed: int) -> Reading:
    split = seeded_split({str(record.identity) for record in found.records}, seed)
    records = [replace(record, split=split[str(record.identity)]) for record in found.records]
    remark = f"no splits are there: split 80/10/10 by identity with seed {seed}, not the published split"
    drawn = frozenset(record.id for record in records)
    return replace(found, records=records, remarks=(*found.remarks, remark), drawn=drawn)


def _hold_out(found: Reading, size: int, seed: int) -> Reading:
    """Identities of train become val, where there is no val."""
    if any(record.split == "val" for record in found.records):
        raise UsageError(f"holdout={size} is not possible: there is a val list. Leave it out.")
    train = {str(record.identity) for record in found.records if record.split == "train"}
    if size >= len(train):
        raise UsageError(f"holdout={size} is too much: train has {len(train)} identities. Take fewer.")
    held = set(seeded_order(train, seed)[:size])
    records = [
        replace(record, split="val") if record.split == "train" and str(record.identity) in held else record
        for record in found.records
    ]
    remark = f"{size:,} identities of train are held out as val (seed {seed}), since there is no val list"
    drawn = found.drawn | {record.id for record in found.records if record.split == "train"}
    return replace(found, records=records, remarks=(*found.remarks, remark), drawn=drawn)
