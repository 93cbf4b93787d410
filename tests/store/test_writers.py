"""Several writers in one folder: whoever is alone sweeps up after killed ones."""

from pathlib import Path

from mmx.store.atomic import TEMPORARY_PREFIX
from mmx.store.writers import writing


def test_the_last_writer_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    left = tmp_path / f"{TEMPORARY_PREFIX}of-a-killed-one"
    with writing(tmp_path):
        with writing(tmp_path):
            left.mkdir()
        assert left.exists()

    assert not left.exists()


def test_the_first_writer_does_so_too(tmp_path: Path) -> None:
    left = tmp_path / f"{TEMPORARY_PREFIX}of-a-killed-one"
    left.mkdir()

    with writing(tmp_path):
        assert not left.exists()
