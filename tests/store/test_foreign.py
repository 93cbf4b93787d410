"""Vectors made elsewhere: plain numbers are read, everything else is refused without being run."""

import os
import pickle
import resource
from pathlib import Path

import numpy
import pytest
import torch
from safetensors.torch import save_file

from mmx.core.errors import ArtifactError
from mmx.store.foreign import digest_files, read_array, read_id_table

pytestmark = pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")


class Bomb:
    """Leaves a mark if it is ever unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple:
        return (Path.touch, (self.mark,))


def test_both_formats_give_the_same_vectors(tmp_path: Path) -> None:
    vectors = numpy.arange(6, dtype=numpy.float32).reshape(2, 3)
    numpy.save(tmp_path / "a.npy", vectors)
    save_file(
        {"image_features": torch.from_numpy(vectors), "other": torch.zeros(1)}, tmp_path / "a.safetensors"
    )

    assert torch.equal(
        read_array(tmp_path / "a.npy", "image"), read_array(tmp_path / "a.safetensors", "image")
    )


def test_a_pickle_is_never_run_whatever_its_name(tmp_path: Path) -> None:
    mark = tmp_path / "boom"
    for name in ("a.npy", "a.safetensors", "a.pt", "a.pkl", "a.npz"):
        (tmp_path / name).write_bytes(pickle.dumps(Bomb(mark)))
        with pytest.raises(ArtifactError):
            read_array(tmp_path / name, "image")
    numpy.save(tmp_path / "o.npy", numpy.array([Bomb(mark)], dtype=object), allow_pickle=True)
    with pytest.raises(ArtifactError, match="not a plain array"):
        read_array(tmp_path / "o.npy", "image")
    assert not mark.exists()


@pytest.mark.parametrize(
    "array",
    [
        numpy.zeros((2, 3), dtype=numpy.int64),
        numpy.zeros(3, dtype=numpy.float32),
        numpy.zeros((0, 3)),
        numpy.array(["a"]),
    ],
)
def test_what_is_no_rows_of_floats_is_refused(array: numpy.ndarray, tmp_path: Path) -> None:
    numpy.save(tmp_path / "a.npy", array)

    with pytest.raises(ArtifactError, match=r"a\.npy"):
        read_array(tmp_path / "a.npy", "image")


def test_an_array_shorter_than_its_header_says_is_refused(tmp_path: Path) -> None:
    numpy.save(tmp_path / "a.npy", numpy.zeros((100, 3), dtype=numpy.float32))
    whole = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(whole[:-40])

    with pytest.raises(ArtifactError, match="not a plain array"):
        read_array(tmp_path / "a.npy", "image")


def test_ids_are_read_from_csv_txt_and_json(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('\ufeffimage_id,caption\n1,"a, b"\n2,"say ""hi"""\n', encoding="utf-8")
    (tmp_path / "a.txt").write_text("1\r\n2\r\n\r\n")
    (tmp_path / "a.json").write_text('["1", 2]')
    (tmp_path / "b.json").write_text('[{"id": 1, "box": [0]}, {"id": "2", "box": []}]')

    assert read_id_table(tmp_path / "a.csv") == {"image_id": ["1", "2"], "caption": ["a, b", 'say "hi"']}
    for name in ("a.txt", "a.json", "b.json"):
        assert read_id_table(tmp_path / name) == {"id": ["1", "2"]}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b"id,caption\n1\n"),
        ("a.csv", b""),
        ("a.csv", b'id\n"open\n'),
        ("a.json", b'["1", '),
        ("a.json", b'{"id": 1}'),
        ("a.json", b"[]"),
        ("a.txt", b"\xff\xfe1\x00"),
        ("a.txt", b"\n"),
    ],
)
def test_a_broken_file_of_ids_is_named(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)

    with pytest.raises(ArtifactError, match=name):
        read_id_table(tmp_path / name)


def test_an_archive_under_the_name_of_an_array_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "a.npy").open("wb") as file:
        numpy.savez(file, a=numpy.ones((2, 2)))

    with pytest.raises(ArtifactError, match=r"a\.npy' is an archive of arrays"):
        read_array(tmp_path / "a.npy", "image")


def test_the_digest_follows_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    before = digest_files([tmp_path / "a"])
    (tmp_path / "a").write_bytes(b"2")

    assert digest_files([tmp_path / "a"]) != before


def test_an_array_larger_than_the_memory_is_mapped_and_not_read(tmp_path: Path) -> None:
    """Twice the machine's memory, of which the file holds one row: the rest are holes."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    shape = (2 * memory // (36 * 2048 * 4) + 1, 36, 2048)
    with (tmp_path / "a.npy").open("wb") as file:
        said = {"descr": "<f4", "fortran_order": False, "shape": shape}
        numpy.lib.format.write_array_header_1_0(file, said)
        file.write(numpy.ones(36 * 2048, dtype=numpy.float32).tobytes())
        file.truncate(file.tell() + (shape[0] - 1) * 36 * 2048 * 4)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    vectors = read_array(tmp_path / "a.npy", "image")

    assert vectors.shape == shape
    assert vectors.index_select(0, torch.tensor([0, shape[0] - 1])).sum() == 36 * 2048
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 20
