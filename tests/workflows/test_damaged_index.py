"""An index whose bytes changed: it is made again, and what was removed from it stays out."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from mmx.core.errors import ArtifactError
from mmx.core.home import Home
from mmx.core.reporter import SilentReporter
from mmx.store.gallery import Gallery
from mmx.workflows.galleries import GALLERY, folder_index
from mmx.workflows.gallery_place import index_folder
from tests.workflows.stub_matcher import StubMatcher

QUIET = SilentReporter()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for colour in ("red", "green", "blue"):
        Image.new("RGB", (8, 8), colour).save(folder / f"{colour}.png")
    return folder


def spoil(path: Path) -> None:
    """Another number in a vector: of a red picture, in whose vector it is 1."""
    data = path.read_bytes()
    one = torch.eye(4)[0].numpy().tobytes()
    assert one in data
    path.write_bytes(data.replace(one, b"\0\0\0\x40" + one[4:], 1))


def test_a_vector_that_changed_has_the_index_made_again_without_what_was_removed(
    photos: Path, home: Home
) -> None:
    folder_index(StubMatcher(), photos, home, QUIET)
    path = index_folder(home, photos, StubMatcher.fingerprint) / GALLERY
    whole = Gallery.open(path)
    rows = [row for row, entry in enumerate(whole.entries) if entry.id != "blue.png"]
    Gallery(
        whole.source,
        whole.fingerprint,
        [whole.entries[row] for row in rows],
        whole.image_vectors[rows],
        scope=whole.scope.with_rule("blue.png", False),
        made_by=whole.made_by,
    ).save(path)
    spoil(path)

    with pytest.raises(ArtifactError, match="the bytes of 'image_vectors'"):
        Gallery.open(path)
    made = folder_index(StubMatcher(), photos, home, QUIET).gallery

    assert [entry.id for entry in made.entries] == ["green.png", "red.png"]
    assert torch.equal(made.image_vectors, torch.eye(4)[[1, 0]])


def test_vectors_too_many_to_check_at_each_opening_are_checked_before_they_are_written_anew(
    photos: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder_index(StubMatcher(), photos, home, QUIET)
    path = index_folder(home, photos, StubMatcher.fingerprint) / GALLERY
    spoil(path)
    before = path.read_bytes()
    opened = Gallery.open.__func__
    monkeypatch.setattr(
        Gallery, "open", classmethod(lambda cls, path, f=None, most=0: opened(cls, path, f, 0))
    )
    Image.new("RGB", (8, 8), "white").save(photos / "new.png")

    with pytest.raises(ArtifactError, match="the bytes of 'image_vectors'"):
        folder_index(StubMatcher(), photos, home, QUIET)
    assert path.read_bytes() == before
