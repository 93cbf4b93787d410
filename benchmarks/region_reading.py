"""Reading region features in the shuffled batches of a training epoch, 36 x 2048 an image, pages warm.

All give the batch as float32 in torch. mmx reads its own store, of float16, as training does; checksums are
compared where a row is read for the first time, which is before the clock starts. datasets reads its arrow
files in numpy's format, which is its fastest, of float16 and of float32. h5py must be asked for rows in
order, so that they are sorted and then put back.
"""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy
import torch
from torch import Tensor

from benchmarks.side_by_side import Contestant, Different, Match, Peer, Row, main
from mmx.store.features import FeatureStore
from mmx.store.shard import ShardHeader, save_shard

REGIONS, WIDTH, BATCH, SHARD = 36, 2048, 128, 512
FIELD, MANIFEST = "region_features", "drawn"
Read = Callable[[numpy.ndarray], Tensor]
"""Rows [B] -> their features [B, 36, 2048] float32."""

_held: list[tempfile.TemporaryDirectory[str]] = []
"""Files of the contestants, kept until the process ends."""


def write_store(folder: Path, features: Tensor) -> FeatureStore:
    """A store of shards as `mmx extract` writes them."""
    first = ShardHeader(
        encoder="import:drawn",
        fingerprint="drawn",
        modality="image",
        corpus="drawn",
        manifest=MANIFEST,
        split="train",
        fields=(FIELD,),
        width=WIDTH,
        first=0,
        count=0,
        total=len(features),
        shard_records=SHARD,
    )
    for number in range(first.at(0).shards):
        header = first.at(number)
        own = features[header.first : header.first + header.count]
        save_shard(folder, header, {FIELD: own}, [str(row) for row in range(len(own))])
    return FeatureStore.open(folder, "train", MANIFEST)


def by_h5py(folder: Path, features: Tensor) -> Read:
    """One array, whose rows must be asked for in rising order."""
    import h5py

    with h5py.File(folder / "features.h5", "w") as file:
        file[FIELD] = features.numpy()
    held = h5py.File(folder / "features.h5", "r")[FIELD]

    def read(rows: numpy.ndarray) -> Tensor:
        order = numpy.argsort(rows)
        back = numpy.empty_like(order)
        back[order] = numpy.arange(len(rows))
        return torch.from_numpy(held[rows[order]][back]).float()

    return read


def by_datasets(folder: Path, features: Tensor, kind: str) -> Read:
    """Arrow files, mapped into memory."""
    import datasets

    datasets.disable_progress_bars()
    form = datasets.Features({FIELD: datasets.Array2D((REGIONS, WIDTH), kind)})
    place, numbers = folder / kind, features.numpy().astype(kind)

    def rows() -> object:
        yield from ({FIELD: row} for row in numbers)

    made = datasets.Dataset.from_generator(rows, features=form, cache_dir=str(folder / f"{kind}-made"))
    made.save_to_disk(str(place))
    held = datasets.load_from_disk(str(place)).with_format("numpy")
    return lambda rows: torch.from_numpy(held[rows][FIELD]).float()


def equal(mine: Tensor, theirs: Tensor) -> Mapping[str, float]:
    """The last number of every row, exactly."""
    if not torch.equal(mine, theirs):
        raise Different(f"numbers lie {(mine - theirs).abs().max()} apart")
    return {"difference": 0.0}


def make(quick: bool) -> Match:
    """An epoch in an order that is the same for all."""
    _held.append(tempfile.TemporaryDirectory())
    folder = Path(_held[-1].name)
    features = torch.randn(256 if quick else 2048, REGIONS, WIDTH).half()
    store = write_store(folder, features)
    readers = {
        "h5py, sorted": by_h5py(folder, features),
        "datasets, float16": by_datasets(folder, features, "float16"),
        "datasets, float32": by_datasets(folder, features, "float32"),
    }
    floors = {"h5py, sorted": 1.8, "datasets, float16": 2.0, "datasets, float32": 2.0}
    order = numpy.random.default_rng(0).permutation(len(features))
    batches = [order[begin : begin + BATCH] for begin in range(0, len(order), BATCH)]

    def epoch(read: Read) -> Tensor:
        # A number a row, so that what was read can be compared; copied, since a view would hold the batch,
        # which a training step lets go.
        return torch.cat([read(rows)[:, -1, -1].clone() for rows in batches])

    def by_mmx(rows: numpy.ndarray) -> Tensor:
        return store.read(FIELD, torch.from_numpy(rows))

    return Contestant("mmx", lambda: epoch(by_mmx)), [
        Peer(name, lambda read=read: epoch(read), compare=equal, origin="as published", faster=floors[name])
        for name, read in readers.items()
    ]


ROWS = [
    Row(
        "region-reading",
        "reading region features, 36 x 2048, shuffled batches of 128, warm",
        make,
        packages=("datasets", "h5py"),
        note="Rows are converted as they are copied, all in one call, into memory that is used again once a "
        "batch is let go: no slower than torch copies them within memory. In the runs before, views held "
        "all batches of an epoch, so that half of them were new memory, four fifths of the time then (ratios "
        "1.65, 6.04 and 1.41). Tried: numpy's conversion (four times as long).",
    )
]

if __name__ == "__main__":
    main(__file__, ROWS)
