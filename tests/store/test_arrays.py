"""Arrays without torch: the numbers that torch reads, and every fault of a file told as torch tells it."""

from pathlib import Path

import numpy
import pytest
import torch
from safetensors.torch import save_file

from mmx.core.errors import ArtifactError
from mmx.store.arrays import ArrayFile
from mmx.store.entries import Entry
from mmx.store.gallery import Gallery
from mmx.store.gallery_arrays import GalleryArrays
from mmx.store.tensors import TensorFile, save_tensors

TENSORS = {
    "vectors": torch.randn(5, 3, generator=torch.Generator().manual_seed(0)),
    "numbers": torch.tensor([-(2**40), 7]),
    "codes": torch.tensor([[-128, 127]], dtype=torch.int8),
    "none": torch.empty(0, 4),
    "halves": torch.tensor([0.5, -2.0], dtype=torch.float16),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save_tensors(tmp_path / "kept.safetensors", TENSORS, {"b": "1", "a": "2"})
    return tmp_path / "kept.safetensors"


def test_they_are_what_torch_reads(path: Path) -> None:
    file, whole = ArrayFile(path), TensorFile(path)
    assert file.names == sorted(whole.names) and file.metadata == whole.metadata
    for name, tensor in TENSORS.items():
        found = file.read(name)
        numpy.testing.assert_array_equal(found, tensor.numpy())
        assert found.dtype == tensor.numpy().dtype
        file.check(name)
    with pytest.raises(ArtifactError, match=r"holds no 'more'"):
        file.read("more")


def test_files_of_others_have_no_checksums_and_are_read_all_the_same(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "other.safetensors")
    file = ArrayFile(tmp_path / "other.safetensors")
    file.check("vectors")
    numpy.testing.assert_array_equal(file.read("numbers"), [-(2**40), 7])


def faults_of(kind: type, path: Path) -> bool:
    try:
        file = kind(path)
        for name in file.names:
            file.check(name)
    except ArtifactError:
        return True
    return False


def test_a_changed_byte_is_found_just_where_torch_finds_it(path: Path) -> None:
    """In the header, in the numbers, and in the checksums; not in the name of these, where it makes the file
    one without any.
    """
    whole, found = path.read_bytes(), 0
    for place in range(0, len(whole), 3):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        ours, theirs = (faults_of(kind, path) for kind in (ArrayFile, TensorFile))
        assert ours == theirs
        found += ours
    assert found > len(whole) / 3 - 5
    for length in (0, 7, 100, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ArtifactError, match=r"is not a whole safetensors file"):
            ArrayFile(path)
    with pytest.raises(ArtifactError, match=r"there is no file"):
        ArrayFile(path.with_name("absent"))


def test_a_gallery_is_the_one_that_torch_opens(tmp_path: Path) -> None:
    entries = (Entry("a.png", "/p/a.png", ("one", "two")), Entry("b.png", "/p/b.png", ("three",)))
    vectors = torch.eye(3)
    Gallery("photos", "f", entries, vectors[:2].clone(), vectors).save(tmp_path / "gallery.safetensors")
    found = GalleryArrays.open(tmp_path / "gallery.safetensors", "f")
    assert tuple(found.entries) == entries and len(found.unreadable) == 0
    assert found.captions[2] == (entries[1], "three")
    numpy.testing.assert_array_equal(found.image_vectors, vectors[:2])
    numpy.testing.assert_array_equal(found.text_vectors, vectors)
    assert GalleryArrays.open(tmp_path / "gallery.safetensors", "other") is None


def test_a_gallery_whose_vectors_are_not_those_listed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "gallery.safetensors"
    Gallery("photos", "f", (Entry("a", "a"),), torch.eye(2)).save(path)
    with pytest.raises(ArtifactError, match=r"the image vectors of '.+' are float32 \[2, 2\], where 1 rows"):
        GalleryArrays.open(path, "f")
