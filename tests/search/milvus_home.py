"""What tests of Milvus share: one embedded server for all of them, and small galleries."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch.nn.functional import normalize

from mmx.store.entries import Entries, Entry
from mmx.store.gallery import Gallery

pytest.importorskip("pymilvus")
server_manager = pytest.importorskip("milvus_lite.server_manager")

WIDTH = 16


def small_gallery(rows: int, fingerprint: str = "f1", seed: int = 0, source: str = "/photos") -> Gallery:
    """Random directions; every seventh picture is the same as the one before it."""
    random = torch.Generator().manual_seed(seed)
    vectors = normalize(torch.randn(rows, WIDTH, generator=random), dim=1)
    vectors[6::7] = vectors[5 : 5 + len(vectors[6::7]) * 7 : 7]
    entries = []
    for row in range(rows):
        name = f"{'ab'[row % 2]}/{row:04d} é{'%_'[row % 2]}.jpg"
        taken = f"20{row % 20:02d}-0{1 + row % 9}-11T12:00:0{row % 10}"
        about = {"size": 1000 * (row % 50), "mtime_ns": row * 10**12, "taken": taken if row % 3 else ""}
        entries.append(Entry(name, f"{source}/{name}", **about, digest=f"{row:032x}"))
    entries.sort(key=lambda entry: entry.id)
    unreadable = (Entry("caf\udce9.jpg", f"{source}/caf\udce9.jpg", reason="damaged"),)
    about = {"unreadable": Entries.of(unreadable), "made_by": {"model": "stub"}}
    return Gallery(source, fingerprint, Entries.of(entries), vectors, **about)


@pytest.fixture(scope="session")
def milvus_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server; collections are named behind `#`."""
    path = tmp_path_factory.mktemp("milvus") / "server.db"
    yield server_manager.server_manager_instance.start_and_get_uri(str(path))
    server_manager.server_manager_instance.release_server(str(path))


def milvus_file(folder: Path) -> str:
    """The address of a file that is not there yet."""
    return str(folder / "photos.db")
