"""Approximation on disk: a round trip, and every kind of file that is none."""

from pathlib import Path

import pytest
import torch

from mmx.core.errors import ArtifactError
from mmx.store.approximation import Approximation
from mmx.store.tensors import save_tensors


def test_it_comes_back_as_it_was(tmp_path: Path) -> None:
    data = torch.arange(9, dtype=torch.uint8)
    Approximation("pq", "3-abc", 50, {"photos": 0.99}, data).save(tmp_path / "a")
    back = Approximation.open(tmp_path / "a")
    assert (back.kind, back.content, back.candidates, back.recall) == ("pq", "3-abc", 50, {"photos": 0.99})
    assert torch.equal(back.data, data)


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ({"format": "mmx-approximation", "version": "9"}, "version '9'"),
        ({"format": "mmx-approximation", "version": "1"}, "cannot be read"),
        ({"format": "mmx-approximation", "version": "1", "approximation": "{}"}, "cannot be read"),
    ],
)
def test_other_files_are_refused_by_name(tmp_path: Path, header: dict[str, str], words: str) -> None:
    save_tensors(tmp_path / "a", {"index": torch.ones(3, dtype=torch.uint8)}, header)
    with pytest.raises(ArtifactError, match=words):
        Approximation.open(tmp_path / "a")
    with pytest.raises(ArtifactError, match="there is no file"):
        Approximation.open(tmp_path / "none")
