"""Tensors on disk: read back as they were, memory-mapped, within limits."""

import json
import resource
import struct
from pathlib import Path

import pytest
import torch

from mmx.core.errors import ArtifactError, ResourceError
from mmx.store.tensors import TensorFile, save_tensors


def test_tensors_and_their_header_come_back(tmp_path: Path) -> None:
    tensors = {"a": torch.randn(3, 2).T, "b": torch.tensor([], dtype=torch.int64), "c": torch.randn(4).half()}
    save_tensors(tmp_path / "t.safetensors", tensors, {"made": "here"})

    file = TensorFile(tmp_path / "t.safetensors")

    assert file.metadata == {"made": "here"} and sorted(file.names) == ["a", "b", "c"]
    assert all(torch.equal(file.read(name), tensor) for name, tensor in tensors.items())
    assert {name: tensor.dtype for name, tensor in file.read_all().items()}["c"] == torch.float16


def test_an_absent_tensor_is_named_with_those_there_are(tmp_path: Path) -> None:
    save_tensors(tmp_path / "t.safetensors", {"a": torch.ones(1)}, {})

    with pytest.raises(ArtifactError, match=r"holds no 'b'\. It holds: a"):
        TensorFile(tmp_path / "t.safetensors").read("b")


def test_a_header_that_claims_more_rows_than_the_file_has_is_refused(tmp_path: Path) -> None:
    header = json.dumps(
        {"a": {"dtype": "F32", "shape": [10**12, 512], "data_offsets": [0, 2048 * 10**12]}}
    ).encode()
    (tmp_path / "t.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(64))

    with pytest.raises(ArtifactError, match="not a whole safetensors file"):
        TensorFile(tmp_path / "t.safetensors")


def test_a_header_that_claims_to_be_longer_than_memory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.safetensors").write_bytes(struct.pack("<Q", 2**62) + bytes(64))

    with pytest.raises(ArtifactError, match="not a whole safetensors file"):
        TensorFile(tmp_path / "t.safetensors")


def test_a_full_disk_is_exit_6_and_the_old_file_stays(tmp_path: Path) -> None:
    save_tensors(tmp_path / "t.safetensors", {"a": torch.ones(1)}, {})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(ResourceError, match="no space left"):
            save_tensors(tmp_path / "t.safetensors", {"a": torch.ones(100_000)}, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert TensorFile(tmp_path / "t.safetensors").read("a").shape == (1,)
    assert [path.name for path in tmp_path.iterdir()] == ["t.safetensors"]
