"""EfficientNet-Lite0 with its ImageNet weights over photos of Flickr8k (224 x 224 JPEG), decoding included.

The photos are those of $MMX_TEST_DATA/flickr8k/images (by default ../shared/data). `lite0` is one process
that is warm; `prepare-extract` are whole commands: `mmx prepare` opens, hashes and compares every photo,
`mmx extract` runs the network and writes a store with checksums, the peer's script decodes, runs and writes
one array.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy
import torch
from torch import Tensor

from benchmarks.encoders import cosine
from benchmarks.plain_extraction import extract as extract_plainly
from benchmarks.plain_extraction import load_network
from benchmarks.side_by_side import Contestant, Match, Peer, Row, main
from mmx.core.home import Home
from mmx.core.record import Record
from mmx.core.reporter import SilentReporter
from mmx.encoders.names import encoder_slug
from mmx.engine.extractor import ExtractOptions, extract_split
from mmx.store.features import FeatureStore
from mmx.store.manifest import Manifest, write_manifest
from mmx.workflows.extract import CPU_BATCH
from mmx.workflows.extract_engine import load_frozen

ENCODER, FIELD, NAME = "efficientnet-lite0", "image_features", "photos"
WHOLE = 1400

_held: list[tempfile.TemporaryDirectory[str]] = []


def photos(count: int) -> Path:
    """A folder of its own that holds the first so many photos as `photos/*.jpg`."""
    source = Path(os.environ.get("MMX_TEST_DATA", Path(__file__).parents[2] / "shared/data"))
    found = sorted((source / "flickr8k/images").glob("*.jpg"))[:count]
    if len(found) < count:
        raise FileNotFoundError(f"no photos in '{source}/flickr8k/images': set MMX_TEST_DATA")
    _held.append(tempfile.TemporaryDirectory())
    folder = Path(_held[-1].name) / NAME
    folder.mkdir()
    for file in found:
        shutil.copy(file, folder)
    return folder


def rows_of(store: FeatureStore) -> Tensor:
    """All pooled features of a split."""
    return store.read(FIELD, torch.arange(store.rows))


def make_photos(quick: bool) -> Match:
    """The network over some photos, ours with its store, the peers' as one tensor."""
    folder = photos(8 if quick else 96)
    names = sorted(file.name for file in folder.iterdir())
    records = [Record(name, "train", name) for name in names]
    manifest = write_manifest(folder.parent / "dataset", NAME, folder, {"train": records})
    encoder, store = load_frozen(ENCODER, "image"), folder.parent / "features"
    store.mkdir()
    options = ExtractOptions(CPU_BATCH["image"], fields=(FIELD,), overwrite=True)

    def ours() -> Tensor:
        extract_split(encoder, manifest, "train", store, options, torch.device("cpu"), SilentReporter())
        return rows_of(FeatureStore.open(store, "train", manifest.fingerprint))

    eager = load_network()
    loops = {
        "eager timm loop, batch 16": (16, 2.0),
        "eager timm loop, mmx's batch": (CPU_BATCH["image"], None),
    }
    return Contestant("mmx", ours), [
        Peer(
            name,
            partial(extract_plainly, eager, folder, size, 0),
            compare=cosine,
            origin="written here",
            faster=floor,
        )
        for name, (size, floor) in loops.items()
    ]


def run(words: Sequence[str], **more: str) -> None:
    """A command in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", *words], env=os.environ | more, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr}")


def make_whole(quick: bool) -> Match:
    """Whole commands, from a folder of photos to features on the disk."""
    folder = photos(8 if quick else WHOLE)
    home, out = Home(folder.parent / "home"), folder.parent / "plain.npy"
    raw = folder.parent / "captions.csv"
    raw.write_text("image,caption\n" + "".join(f"{NAME}/{file.name},a photo\n" for file in folder.iterdir()))

    def ours() -> Tensor:
        run(["mmx", "prepare", NAME, "--raw", str(raw)], MMX_HOME=str(home.root))
        run(["mmx", "extract", NAME, "--encoder", ENCODER, "--fields", FIELD], MMX_HOME=str(home.root))
        return in_order(home)

    def plain() -> Tensor:
        run(["benchmarks.plain_extraction", str(folder), str(out)])
        return torch.from_numpy(numpy.load(out))

    return Contestant("mmx", ours, before=lambda: shutil.rmtree(home.root, ignore_errors=True)), [
        Peer("DataLoader loop", plain, compare=cosine, origin="written here", faster=1.3)
    ]


def in_order(home: Home) -> Tensor:
    """The features of all splits, in the order of the photos' names."""
    manifest = Manifest.open(home.dataset(NAME))
    folder = home.features(NAME, encoder_slug(ENCODER, "image"))
    found: dict[str, Tensor] = {}
    for split in manifest.splits:
        read = rows_of(FeatureStore.open(folder, split, manifest.fingerprint))
        found |= {str(record.image): row for record, row in zip(manifest.split(split), read, strict=True)}
    return torch.stack([found[name] for name in sorted(found)])


ROWS = [
    Row(
        "lite0",
        "EfficientNet-Lite0 over 96 photos, decoding included",
        make_photos,
        packages=("timm",),
        note="Eager, half of the time makes memory for maps of padding. onnxruntime was as fast as ours.",
    ),
    Row(
        "prepare-extract",
        "prepare and extract of 1,400 photos, whole commands",
        make_whole,
        rounds=3,
        seconds=100.0,
        packages=("timm", "torchvision"),
    ),
]

if __name__ == "__main__":
    main(__file__, ROWS)
