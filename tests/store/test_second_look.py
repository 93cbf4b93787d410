"""What a second look keeps of photos: whole or not there, and gone with its photo."""

from pathlib import Path

import torch

from mmx.store.second_look import SecondLooks

KEPT = {"regions": torch.arange(6).view(1, 2, 3).half(), "mask": torch.tensor([[True, False]])}


def test_what_was_written_is_read_as_it_was(tmp_path: Path) -> None:
    looks = SecondLooks(tmp_path / "new" / "second-look")
    looks.write("abc", KEPT)

    found = looks.read("abc")

    assert found.keys() == KEPT.keys()
    assert all(
        torch.equal(found[name], KEPT[name]) and found[name].dtype == KEPT[name].dtype for name in KEPT
    )


def test_what_is_absent_broken_or_of_another_kind_is_nothing(tmp_path: Path) -> None:
    looks = SecondLooks(tmp_path)
    looks.write("whole", KEPT)
    whole = (tmp_path / "whole.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[:-3])
    (tmp_path / "other.safetensors").write_bytes(whole.replace(b"mmx-second-look", b"mmx-second-sook"))

    assert [looks.read(name) for name in ("absent", "cut", "other")] == [None, None, None]


def test_others_are_removed(tmp_path: Path) -> None:
    looks = SecondLooks(tmp_path)
    looks.write("stays", KEPT)
    looks.write("goes", KEPT)

    looks.remove_others({"stays", "never seen"})

    assert looks.read("stays") is not None and looks.read("goes") is None
    SecondLooks(tmp_path / "absent").remove_others(set())
