"""Splits drawn by a seed, for records that have none: class by class where there are classes; an identity, or
a picture, is never divided.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from mmx.core.corpus import Reading
from mmx.core.errors import UsageError
from mmx.core.record import SPLITS, Record
from mmx.core.seeded_split import seeded_split


def read_shares(text: str) -> dict[str, float]:
    """`80/10/10` as shares of train, val and test.

    Raises:
        UsageError: when it is no such thing.
    """
    parts = text.split("/")
    numbers = [float(part) for part in parts if part.strip().replace(".", "", 1).isdigit()]
    if len(numbers) != len(SPLITS) or len(parts) != len(SPLITS) or not sum(numbers) or not numbers[0]:
        raise UsageError(
            f"shares='{text}' is not possible. Write the shares of train, val and test, like 80/10/10."
        )
    return {split: number / sum(numbers) for split, number in zip(SPLITS, numbers, strict=True)}


def with_splits(reading: Reading, shares: Mapping[str, float], seed: str) -> Reading:
    """The reading with a split for every record.

    Raises:
        UsageError: when the seed is none.
    """
    if not seed.isdigit():
        raise UsageError(f"seed='{seed}' is not a whole number from 0 on.")
    records = list(reading.records)
    bare = [record for record in records if not record.split]
    if not bare:
        return replace(reading, records=records)
    chosen = _drawn(bare, int(seed), shares)
    drawn = [record if record.split else replace(record, split=chosen[_unit(record)]) for record in records]
    parts = "/".join(f"{100 * shares[split]:g}" for split in SPLITS)
    by = "identity" if any(record.identity is not None for record in bare) else "image"
    classes = ", each class by itself," if any(record.label is not None for record in bare) else ""
    remark = f"no splits are given: split {parts} by {by}{classes} with seed {seed}"
    return replace(
        reading,
        records=drawn,
        remarks=(*reading.remarks, remark),
        drawn=frozenset(record.id for record in bare),
    )


def _drawn(records: Sequence[Record], seed: int, shares: Mapping[str, float]) -> dict[str, str]:
    """The split of each unit; one that stands in several classes is drawn with the first of them."""
    label_of: dict[str, int | None] = {}
    for record in records:
        label_of.setdefault(_unit(record), record.label)
    by_class: dict[int | None, list[str]] = {}
    for unit, label in label_of.items():
        by_class.setdefault(label, []).append(unit)
    return {
        unit: split
        for units in by_class.values()
        for unit, split in seeded_split(units, seed, shares).items()
    }


def _unit(record: Record) -> str:
    if record.image is None:
        return f"post {record.id}"
    return f"identity {record.identity}" if record.identity is not None else f"image {record.image}"
