"""Atomic writing: after a fault there is the old or the new, never a half, and no litter."""

import errno
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mmx.core.errors import ResourceError
from mmx.store.atomic import (
    atomic_file,
    atomic_folder,
    check_writable,
    disk_errors,
    remove_leftovers,
    write_json,
    write_text,
)


def litter(folder: Path) -> list[Path]:
    return list(folder.rglob(".mmx-tmp-*"))


def test_a_file_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    write_text(tmp_path / "a" / "file.txt", "old")
    write_text(tmp_path / "a" / "file.txt", "neü")

    assert (tmp_path / "a" / "file.txt").read_bytes() == "neü".encode()
    assert not litter(tmp_path)


def test_json_keeps_the_order_of_its_keys(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"b": 1, "a": "é"})

    assert (tmp_path / "x.json").read_text() == '{\n  "b": 1,\n  "a": "é"\n}\n'


def test_a_writer_that_fails_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    write_text(tmp_path / "file", "old")

    with pytest.raises(KeyError), atomic_file(tmp_path / "file") as temporary:
        temporary.write_text("half")
        raise KeyError

    assert (tmp_path / "file").read_text() == "old" and not litter(tmp_path)


def test_a_folder_is_seen_as_a_whole(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "folder") as temporary:
        (temporary / "file").write_text("whole")
        assert not (tmp_path / "folder").exists()

    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["file"]
    assert not litter(tmp_path)


def test_a_folder_that_holds_something_is_never_taken_away(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "old").write_text("old")

    with pytest.raises(ValueError, match="holds something already"), atomic_folder(tmp_path / "folder"):
        pass

    assert (tmp_path / "folder" / "old").read_text() == "old" and not litter(tmp_path)


def test_a_folder_whose_filling_fails_is_never_seen(tmp_path: Path) -> None:
    with pytest.raises(KeyError), atomic_folder(tmp_path / "folder") as temporary:
        (temporary / "half").write_text("half")
        raise KeyError

    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_exit_6_and_the_old_file_stays(tmp_path: Path) -> None:
    write_text(tmp_path / "file", "old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(ResourceError, match="no space left") as caught:
            write_text(tmp_path / "file", "x" * 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert caught.value.exit_code == 6
    assert (tmp_path / "file").read_text() == "old" and not litter(tmp_path)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS])
def test_faults_of_the_disk_are_told_from_bugs(number: int, tmp_path: Path) -> None:
    with pytest.raises(ResourceError), disk_errors(tmp_path):
        raise OSError(number, os.strerror(number))
    with pytest.raises(OSError, match="Bad file"), disk_errors(tmp_path):
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))


def test_a_folder_below_a_file_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(ResourceError, match="cannot be written"):
        check_writable(tmp_path / "file" / "below")


def test_a_writable_folder_is_made_and_left_empty(tmp_path: Path) -> None:
    check_writable(tmp_path / "a" / "b")

    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_leftovers_go_and_everything_else_stays(tmp_path: Path) -> None:
    (tmp_path / ".mmx-tmp-x").write_text("")
    (tmp_path / ".mmx-tmp-y").mkdir()
    (tmp_path / "kept").write_text("")

    remove_leftovers(tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_a_writer_killed_at_any_moment_leaves_a_whole_file(tmp_path: Path) -> None:
    code = (
        "import itertools; from pathlib import Path; from mmx.store.atomic import write_text\n"
        "for number in itertools.count():\n"
        f"    write_text(Path({str(tmp_path / 'file')!r}), str(number % 10) * 100_000)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    while not (tmp_path / "file").exists():
        time.sleep(0.01)
    time.sleep(0.05)
    process.kill()
    process.wait()

    text = (tmp_path / "file").read_text()
    assert len(text) == 100_000 and len(set(text)) == 1
