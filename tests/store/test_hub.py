"""Rows of `datasets` data sets: pictures stay bytes, class names are kept, and what is broken is told."""

from pathlib import Path

import datasets
import pytest
from PIL import Image

from mmx.core.errors import ArtifactError, DataError
from mmx.store import hub
from mmx.store.hub import is_saved_dataset, open_hub, open_saved


@pytest.fixture
def data(tmp_path: Path) -> datasets.Dataset:
    Image.new("RGB", (4, 4), "red").save(tmp_path / "a.png")
    kinds = {"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])}
    return datasets.Dataset.from_dict(
        {"image": [str(tmp_path / "a.png")] * 2, "label": [1, 0]}, features=datasets.Features(kinds)
    )


def test_a_saved_data_set_gives_its_rows_and_class_names(data: datasets.Dataset, tmp_path: Path) -> None:
    data.save_to_disk(str(tmp_path / "saved"))

    (split,) = open_saved(tmp_path / "saved")
    place, row = next(iter(split.rows()))

    assert is_saved_dataset(tmp_path / "saved")
    assert split.class_names == {"label": ["cat", "dog"]}
    assert row["image"]["bytes"] == (tmp_path / "a.png").read_bytes()
    assert (place, row["label"]) == (f"{split.name}: row 0", 1)


def test_a_broken_folder_is_an_error(data: datasets.Dataset, tmp_path: Path) -> None:
    data.save_to_disk(str(tmp_path / "saved"))
    (tmp_path / "saved" / "state.json").write_text("{")

    with pytest.raises(DataError, match="not a whole folder"):
        open_saved(tmp_path / "saved")


def test_splits_come_under_the_names_they_have(
    data: datasets.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    for name in ("train", "validation"):
        (tmp_path / "files").mkdir(exist_ok=True)
        data.to_parquet(tmp_path / "files" / f"{name}.parquet")

    splits = open_hub(str(tmp_path / "files"))

    assert [(split.name, len(split.data)) for split in splits] == [("train", 2), ("validation", 2)]


def test_a_hub_is_not_asked_where_the_environment_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rule is the one that encoders follow."""
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("TRANSFORMERS_OFFLINE", "1")
    monkeypatch.setattr(hub, "reachable", lambda url: pytest.fail("the hub was asked"))

    with pytest.raises(ArtifactError, match="no hub can be reached"):
        open_hub("nobody/nothing")


def test_what_cannot_be_had_names_the_cache_and_the_ways_on() -> None:
    with pytest.raises(
        ArtifactError, match=r"'nobody/nothing:small' cannot be had.*not in the cache '.*HF_HOME"
    ):
        open_hub("nobody/nothing:small")
