"""What readers of labelled photos share where only train and test are published: val is drawn from train."""

from collections.abc import Mapping
from dataclasses import replace

from mmx.core.corpus import Reading
from mmx.core.errors import UsageError
from mmx.core.seeded_split import seeded_split
from mmx.corpora._options import whole_number

OPTIONS = {"val": "0.2", "seed": "0"}
"""Share of each class's training photos that becomes val, as CoOp takes it, and the seed that draws it."""


def draw_val(reading: Reading, options: Mapping[str, str]) -> Reading:
    """The same with some photos of each class moved from train to val, and a remark about it.

    Raises:
        UsageError: when the share is none.
    """
    share, seed = _share(options["val"]), whole_number("seed", options)
    by_class: dict[int | None, list[str]] = {}
    for record in reading.records:
        if record.split == "train":
            by_class.setdefault(record.label, []).append(record.id)
    splits: dict[str, str] = {}
    for ids in by_class.values():
        splits |= seeded_split(ids, seed, {"train": 1 - share, "val": share})
    return replace(
        reading,
        records=[replace(record, split=splits.get(record.id, record.split)) for record in reading.records],
        remarks=(
            *reading.remarks,
            f"no val is published: {share:.0%} of each class's training photos, drawn with seed {seed}",
        ),
        drawn=frozenset(splits),
    )


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 < share < 1:
        raise UsageError(f"val='{text}' is not a share between 0 and 1. Write it like 0.2.")
    return share
