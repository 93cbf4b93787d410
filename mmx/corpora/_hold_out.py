"""Holding out a part of train as val, where published data have but train and one list more."""

from collections.abc import Mapping
from dataclasses import replace

from mmx.core.corpus import Reading
from mmx.core.errors import UsageError
from mmx.core.seeded_split import seeded_order
from mmx.corpora._options import whole_number

OPTIONS = {"holdout": "0", "seed": "0"}


def hold_out(reading: Reading, options: Mapping[str, str], what: str) -> Reading:
    """As many records of train as `holdout` says become val; the published val becomes test where there is
    none, else it is left out. `what` the records are called in messages.

    Raises:
        UsageError: when train has not that many, or an option is no number.
    """
    size, seed = whole_number("holdout", options), whole_number("seed", options)
    if not size:
        return reading
    records = list(reading.records)
    train = [record.id for record in records if record.split == "train"]
    if size >= len(train):
        raise UsageError(f"holdout={size} is too much: train has {len(train)} {what}. Take fewer.")
    held = set(seeded_order(train, seed)[:size])
    has_test = any(record.split == "test" for record in records)
    moved = {"train": "train", "val": "test", "test": "test"}
    found = [
        replace(record, split="val" if record.split == "train" and record.id in held else moved[record.split])
        for record in records
        if not (has_test and record.split == "val")
    ]
    fate = "is left out, since there is a test split" if has_test else "is the test split"
    remark = f"{size:,} {what} of train are held out as val (seed {seed}); the published val {fate}"
    drawn = reading.drawn | frozenset(train)
    return replace(reading, records=found, remarks=(*reading.remarks, remark), drawn=drawn)
