"""Gallery on disk: a round trip, every kind of file that is not one, and writers that are killed or meet."""

import errno
import json
import multiprocessing
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mmx.core.errors import ArtifactError, ResourceError
from mmx.core.reporter import SilentReporter
from mmx.store.entries import Entry
from mmx.store.gallery import Gallery
from mmx.store.one_writer import one_writer
from mmx.store.scope import Scope
from mmx.store.tensors import TensorFile, save_tensors


def gallery(rows: int = 3) -> Gallery:
    entries = tuple(
        Entry(f"{row}.jpg", f"/p/{row}.jpg", (f"caption {row}", "zwei"), 7, 8, "d") for row in range(rows)
    )
    return Gallery(
        source="/photos/caf\udce9",
        fingerprint="f1",
        entries=entries,
        image_vectors=torch.eye(4)[:rows],
        text_vectors=torch.ones(2 * rows, 4),
        unreadable=(Entry("x.jpg", "/p/x\udce9.jpg", reason="damaged"),),
    )


def test_a_gallery_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "g.safetensors"
    gallery().save(path)

    back = Gallery.open(path, "f1")

    assert (back.source, back.entries, back.unreadable, back.complete) == (
        gallery().source, gallery().entries, gallery().unreadable, True,
    )  # fmt: skip
    assert torch.equal(back.image_vectors, gallery().image_vectors)
    assert [caption for _, caption in back.captions[:2]] == ["caption 0", "zwei"]


def test_an_empty_and_an_unfinished_gallery_come_back(tmp_path: Path) -> None:
    path = tmp_path / "g.safetensors"
    Gallery("s", "f", (), torch.empty(0, 0), complete=False).save(path)
    back = Gallery.open(path, "f")
    assert (back.entries, back.text_vectors, back.complete) == ((), None, False)


def test_what_was_said_of_a_gallery_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "g.safetensors"
    scope = Scope({".": True, "caf\udce9": False})
    replace(gallery(), made_by={"run": "/r"}, scope=scope, kind="pq").save(path)

    back = Gallery.open(path)

    assert (back.made_by, back.scope, back.kind) == ({"run": "/r"}, scope, "pq")
    assert back.content == gallery().content


def test_many_vectors_have_codes_beside_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmx.store.gallery.MANY", 3)
    gallery().save(tmp_path / "g.safetensors")

    codes = Gallery.open(tmp_path / "g.safetensors").codes

    assert codes.codes.tolist() == (127 * torch.eye(4)[:3]).tolist()
    torch.testing.assert_close(codes.steps, torch.full((3,), 1 / 127))


def save_first_version(path: Path) -> None:
    """As the first version wrote a gallery: its entries are lines of JSON, and its header says less."""
    good = {
        "id": "a.jpg",
        "path": "/p/a\udce9.jpg",
        "captions": ["x"],
        "size": 7,
        "mtime_ns": 8,
        "digest": "d",
    }
    lines = [{**good, "reason": ""}, {**good, "id": "b.jpg", "captions": [], "reason": "damaged"}]
    data = "".join(json.dumps(line) + "\n" for line in lines).encode("ascii")
    entries = torch.frombuffer(bytearray(data), dtype=torch.uint8)
    header = {
        "format": "mmx-gallery",
        "version": "1",
        "source": "/p",
        "fingerprint": "f1",
        "complete": "true",
    }
    save_tensors(path, {"image_vectors": torch.eye(4)[:1], "entries": entries}, header)


def test_a_gallery_of_the_first_version_opens(tmp_path: Path) -> None:
    save_first_version(tmp_path / "g.safetensors")

    back = Gallery.open(tmp_path / "g.safetensors", "f1")

    assert back.entries == [Entry("a.jpg", "/p/a\udce9.jpg", ("x",), 7, 8, digest="d")]
    assert [(bad.id, bad.reason) for bad in back.unreadable] == [("b.jpg", "damaged")]
    assert (back.made_by, back.scope.covers("any.jpg"), back.kind) == (None, True, "exact")


def test_a_gallery_of_another_matcher_is_refused_naming_both(tmp_path: Path) -> None:
    gallery().save(tmp_path / "g.safetensors")
    with pytest.raises(ArtifactError, match=r"'f1'.*'f2'"):
        Gallery.open(tmp_path / "g.safetensors", "f2")


def test_absent_truncated_and_foreign_files_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "g.safetensors"
    with pytest.raises(ArtifactError, match="there is no file"):
        Gallery.open(path, "f1")
    gallery().save(path)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ArtifactError, match=r"g\.safetensors"):
        Gallery.open(path, "f1")
    save_tensors(path, {"a": torch.ones(1)}, {"format": "mmx-gallery", "version": "99"})
    with pytest.raises(ArtifactError, match="version '99'"):
        Gallery.open(path, "f1")
    path.write_bytes(b"\x80\x04cos\nsystem\n")
    with pytest.raises(ArtifactError, match=r"g\.safetensors"):
        Gallery.open(path, "f1")


@pytest.mark.parametrize(
    "change",
    [
        {"image_vectors": torch.eye(4)[:2]},
        {"image_vectors": torch.eye(4)[:3].half()},
        {"text_vectors": torch.ones(5, 4)},
        {"entries": torch.tensor([123, 10], dtype=torch.int64)},
        {"entries": torch.empty(0, dtype=torch.int64)},
    ],
)
def test_rows_that_do_not_fit_the_entries_are_refused(
    tmp_path: Path, change: dict[str, torch.Tensor]
) -> None:
    path = tmp_path / "g.safetensors"
    gallery().save(path)
    file = TensorFile(path)
    tensors, metadata = {**file.read_all(), **change}, file.metadata
    save_tensors(path, tensors, metadata)
    with pytest.raises(ArtifactError, match=r"g\.safetensors"):
        Gallery.open(path, "f1")


def test_a_reader_keeps_its_gallery_while_another_is_written(tmp_path: Path) -> None:
    path = tmp_path / "g.safetensors"
    gallery().save(path)
    back = Gallery.open(path, "f1")
    replace(gallery(), image_vectors=torch.zeros(3, 4)).save(path)
    assert torch.equal(back.image_vectors, gallery().image_vectors)


def test_a_full_disk_leaves_the_old_gallery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "g.safetensors"
    gallery().save(path)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(ResourceError, match="no space left"):
        gallery(2).save(path)

    assert len(Gallery.open(path, "f1").entries) == 3
    assert [found.name for found in tmp_path.iterdir()] == ["g.safetensors"]


def write_for_ever(path: Path, started: object) -> None:
    with one_writer(path.parent, SilentReporter()):
        while True:
            gallery(3).save(path)
            gallery(2).save(path)
            started.set()


def test_kill_minus_nine_leaves_a_whole_gallery_and_gives_back_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "g.safetensors"
    context = multiprocessing.get_context("fork")
    for _ in range(3):
        started = context.Event()
        writer = context.Process(target=write_for_ever, args=(path, started))
        writer.start()
        started.wait(30)
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()

        with one_writer(tmp_path, SilentReporter()):
            assert len(Gallery.open(path, "f1").entries) in (2, 3)
            assert {found.name for found in tmp_path.iterdir()} == {"g.safetensors", "lock"}
