"""Published weights: taken from the cache, and refused in words when they are broken or another network's."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torchvision
from torch import nn

from mmx.core.errors import ArtifactError
from mmx.encoders.torchvision_weights import load_published


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the weights of a kind called `tiny` would lie."""
    weights = SimpleNamespace(DEFAULT=SimpleNamespace(url="https://weights.invalid/tiny-1234.pth"))
    monkeypatch.setattr(torchvision.models, "get_model_weights", lambda kind: weights)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder / "tiny-1234.pth"


def test_weights_in_the_cache_fill_the_network(cached: Path) -> None:
    held, network = nn.Linear(2, 3), nn.Linear(2, 3)
    torch.save(held.state_dict(), cached)

    load_published("torchvision:tiny", "tiny", network)

    assert torch.equal(network.weight, held.weight)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("content", [b"", b"junk" * 100, b"\x80\x04cos\nsystem\n.", None])
def test_broken_weights_and_those_of_another_network_are_named(content: bytes | None, cached: Path) -> None:
    if content is None:
        torch.save(nn.Linear(2, 5).state_dict(), cached)
    else:
        cached.write_bytes(content)

    with pytest.raises(
        ArtifactError, match=r"'torchvision:tiny' \('.*tiny-1234\.pth'\) cannot be loaded: \S"
    ):
        load_published("torchvision:tiny", "tiny", nn.Linear(2, 3))


def test_weights_out_of_reach_are_answered_with_the_file_and_the_ways_on(cached: Path) -> None:
    with pytest.raises(
        ArtifactError, match=r"not in the cache.*Put 'tiny-1234\.pth' there.*--encoder offline"
    ):
        load_published("torchvision:tiny", "tiny", nn.Linear(2, 3))
