"""Each kind of artefact: the files that it is, and all that is loaded of it, so that loads are compared."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmx.core.home import Home
from mmx.store.approximation import Approximation
from mmx.store.calibration import Calibration
from mmx.store.checkpoint import read_weights
from mmx.store.concepts import open_concepts
from mmx.store.features import FeatureStore
from mmx.store.gallery import Gallery
from mmx.store.manifest import Manifest
from mmx.store.run import RunFolder
from mmx.store.second_look import SecondLooks
from mmx.store.shipped import shipped_run
from mmx.store.tensors import TensorFile
from mmx.workflows.head_run import open_head
from mmx.workflows.rank_files import load_ranks

MADE_AGAIN = "made again"
"""What stands for an artefact that mmx does not take and makes anew by itself."""


@dataclass(frozen=True)
class Artefact:
    """Files that are damaged one at a time, and what is loaded from all of them."""

    files: Sequence[Path]
    load: Callable[[], Any]


def artefacts(root: Path, with_shipped: bool = True) -> dict[str, Artefact]:
    """Every kind, in the world below a folder."""
    home = Home(root / "home")
    runs, toy = home.runs, home.dataset("toy")
    manifest = Manifest.open(toy)
    found = {
        "manifest": Artefact(
            [toy / "corpus.json", *sorted((toy / "manifest").glob("*.parquet"))], lambda: _manifest(toy)
        ),
        "concepts": Artefact(
            [toy / "concepts.json", toy / "concepts.safetensors"], lambda: _plain(open_concepts(manifest))
        ),
        "features of pictures": _features(home.features("toy", "random-clip-image"), manifest),
        "features of captions": _features(home.features("toy", "random-clip-text"), manifest),
        "run": _run(runs / "first"),
        "run with assets": _run(runs / "counted"),
        "state of a stopped run": Artefact(
            _files(runs / "stopped" / "state"), lambda: _state(runs / "stopped")
        ),
        "head": Artefact(
            [runs / "head" / name for name in ("settings.json", "model.safetensors")],
            lambda: (open_head(RunFolder.open(runs / "head")), _facts(runs / "head"))[1],
        ),
        "calibration": _calibration(runs / "first"),
        "ranks": _ranks(runs / "first"),
        "index": _index(next(home.indexes.glob("*/gallery.safetensors"))),
        "compressed index": _approximation(root / "approximation.safetensors"),
        "second look": _second_look(root / "second-look"),
    }
    if with_shipped:
        found["shipped run"] = _shipped(root / "shipped")
    return found


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix in {".json", ".safetensors"})


def _plain(value: Any) -> Any:
    """Values that can be compared: tensors as type, shape and bytes."""
    if isinstance(value, Tensor):
        whole = value.contiguous()
        flat = whole.as_strided((whole.numel(),), (1,)).view(torch.uint8)
        return (str(value.dtype), tuple(value.shape), flat.numpy().tobytes())
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(inner) for inner in value]
    if hasattr(value, "__dataclass_fields__"):
        return _plain({name: getattr(value, name) for name in value.__dataclass_fields__})
    return value


def _manifest(folder: Path) -> Any:
    manifest = Manifest.open(folder)
    records = [manifest.split(split) for split in manifest.splits]
    return _plain(
        [
            manifest.name,
            str(manifest.image_root),
            manifest.class_names,
            manifest.counts,
            manifest.fingerprint,
            records,
        ]
    )


def _features(folder: Path, manifest: Manifest) -> Artefact:
    def load() -> Any:
        store = FeatureStore.open(folder, "val", manifest.fingerprint)
        rows = torch.arange(int(store.caption_offsets[-1]) if store.modality == "text" else store.rows)
        read = {name: store.read(name, rows) for name in store.fields if name != "token_features"}
        if "token_features" in store.fields:
            read["tokens"] = store.read_tokens(rows)
        about = (store.encoder, store.fingerprint, store.width, store.rows, store.grid_view, store.taken_in)
        return _plain([about, read, store.caption_offsets])

    return Artefact(sorted(folder.glob("val-*.safetensors")), load)


def _facts(path: Path) -> Any:
    run = RunFolder.open(path)
    return _plain([run.facts, run.read_weights(), run.metrics(), run.assets()])


def _run(path: Path) -> Artefact:
    files = [file for file in _files(path) if file.parent == path and file.name != "calibration.json"]
    return Artefact(files, lambda: _facts(path))


def _state(path: Path) -> Any:
    found = RunFolder.open(path).load_state()
    assert found is not None
    position, folder = found
    return _plain(
        [position, {file.name: read_weights(file) for file in sorted(folder.glob("*.safetensors"))}]
    )


def _calibration(path: Path) -> Artefact:
    fingerprint = RunFolder.open(path).fingerprint
    return Artefact(
        [path / "calibration.json"], lambda: _plain(Calibration.open(path, fingerprint)) or MADE_AGAIN
    )


def _ranks(path: Path) -> Artefact:
    file = path / "ranks" / "toy-val.safetensors"
    about = {
        name: value for name, value in TensorFile(file).metadata.items() if name not in {"format", "version"}
    }
    return Artefact([file], lambda: _plain(load_ranks(path, about)) or MADE_AGAIN)


def _index(path: Path) -> Artefact:
    def load() -> Any:
        gallery = Gallery.open(path)
        names = (
            "source",
            "fingerprint",
            "image_vectors",
            "text_vectors",
            "complete",
            "made_by",
            "kind",
            "content",
        )
        about = {name: getattr(gallery, name) for name in names}
        return _plain([about, dict(gallery.scope.rules), list(gallery.entries), list(gallery.unreadable)])

    return Artefact([path], load)


def _approximation(path: Path) -> Artefact:
    data = torch.randint(0, 256, (5000,), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    Approximation("pq", "3-abc", 50, {"photos": 0.99}, data).save(path)
    return Artefact([path], lambda: _plain(Approximation.open(path)))


def _second_look(folder: Path) -> Artefact:
    looks = SecondLooks(folder)
    looks.write("abc", {"regions": torch.randn(3, 5), "mask": torch.tensor([True, False, True])})
    return Artefact([folder / "abc.safetensors"], lambda: _plain(looks.read("abc")) or MADE_AGAIN)


def _shipped(folder: Path) -> Artefact:
    shipped = shipped_run()
    assert shipped is not None
    shutil.copytree(shipped, folder, dirs_exist_ok=True)
    return Artefact(
        _files(folder), lambda: (_facts(folder), Calibration.open(folder, RunFolder.open(folder).fingerprint))
    )
