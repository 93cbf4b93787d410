"""What a method counted before learning, kept with its run and told from any other."""

from pathlib import Path

import pytest
import torch

from mmx.core.assets import NO_ASSETS, Assets
from mmx.core.errors import ArtifactError
from mmx.store.assets import assets_fingerprint, load_assets, save_assets

COUNTED = Assets({"words": ["dog", "naïve"]}, {"graph": torch.eye(2)})


def test_assets_come_back(tmp_path: Path) -> None:
    save_assets(tmp_path, COUNTED)

    found = load_assets(tmp_path, assets_fingerprint(COUNTED))

    assert found.values == COUNTED.values
    assert torch.equal(found.tensors["graph"], COUNTED.tensors["graph"])


def test_nothing_counted_leaves_nothing_behind(tmp_path: Path) -> None:
    save_assets(tmp_path, NO_ASSETS)

    assert not list(tmp_path.iterdir())
    assert load_assets(tmp_path, "") == NO_ASSETS


@pytest.mark.parametrize(
    "other",
    [
        NO_ASSETS,
        Assets({"words": ["dog"]}, COUNTED.tensors),
        Assets(COUNTED.values, {"graph": torch.ones(2, 2)}),
    ],
    ids=["nothing", "words", "numbers"],
)
def test_other_assets_are_refused(other: Assets, tmp_path: Path) -> None:
    save_assets(tmp_path, other)

    with pytest.raises(ArtifactError, match=r"not those the run began with\. Train again"):
        load_assets(tmp_path, assets_fingerprint(COUNTED))


@pytest.mark.parametrize("text", ["", "[]", '{"values": {}}'])
def test_a_broken_file_is_refused_by_name(text: str, tmp_path: Path) -> None:
    (tmp_path / "assets.json").write_text(text)

    with pytest.raises(ArtifactError, match=r"assets\.json. is broken"):
        load_assets(tmp_path, "abc")
