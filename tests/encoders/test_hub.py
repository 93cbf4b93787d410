"""A snapshot counts as cached only when nothing of it is missing."""

import json
from pathlib import Path

import pytest

from mmx.core.errors import ArtifactError
from mmx.encoders import hub


def test_a_snapshot_is_whole_with_all_shards_of_its_weights(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    shards = {"a": "model-1.safetensors", "b": "model-2.safetensors"}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    (tmp_path / "model-1.safetensors").touch()
    assert not hub.is_whole(tmp_path, with_tokenizer=False)

    (tmp_path / "model-2.safetensors").touch()
    assert hub.is_whole(tmp_path, with_tokenizer=False)


@pytest.mark.parametrize("names", [("tokenizer.json",), ("vocab.txt",), ("vocab.json", "merges.txt")])
def test_a_snapshot_for_texts_is_whole_with_its_tokenizer(names: tuple[str, ...], tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors", *names[1:]):
        (tmp_path / name).touch()
    assert hub.is_whole(tmp_path, with_tokenizer=False)
    assert not hub.is_whole(tmp_path, with_tokenizer=True)

    (tmp_path / names[0]).touch()
    assert hub.is_whole(tmp_path, with_tokenizer=True)


def test_a_snapshot_with_a_part_missing_is_not_taken_from_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).touch()
    monkeypatch.setattr(hub, "_cached", lambda repository: tmp_path)

    assert hub.hub_folder("hub:a/b", "a/b") == tmp_path
    with pytest.raises(ArtifactError, match=r"'hub:a/b' is not whole in the cache"):
        hub.hub_folder("hub:a/b", "a/b", with_tokenizer=True)
