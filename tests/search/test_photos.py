"""Which files of a folder are photos."""

from pathlib import Path

import pytest

from mmx.core.errors import DataError
from mmx.search.photos import digest, find_photos

SUFFIXES = (".jpg", ".png")


def touch(path: Path, content: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def ids(folder: Path) -> list[str]:
    return [photo.id for photo in find_photos(folder, SUFFIXES).photos]


def test_photos_are_found_at_any_depth_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("b.jpg", "a/z.PNG", "a/b/c.Jpg", "notes.txt", "a.jpg.part"):
        touch(tmp_path / name)
    assert ids(tmp_path) == ["a/b/c.Jpg", "a/z.PNG", "b.jpg"]


def test_hidden_files_and_folders_are_left_alone(tmp_path: Path) -> None:
    for name in ("a.jpg", ".b.jpg", ".git/c.jpg", "d/.thumbs/e.jpg"):
        touch(tmp_path / name)
    assert ids(tmp_path) == ["a.jpg"]


def test_links_out_of_the_folder_are_named_and_loops_end(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    touch(folder / "a.jpg")
    (folder / "out.jpg").symlink_to(touch(tmp_path / "secret.jpg"))
    (folder / "inside.jpg").symlink_to(folder / "a.jpg")
    (folder / "loop").symlink_to(folder)

    found = find_photos(folder, SUFFIXES)

    assert [photo.id for photo in found.photos] == ["a.jpg", "inside.jpg"]
    assert found.foreign_links == ("out.jpg",)


def test_a_broken_link_is_listed_so_that_it_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nothing.jpg")
    assert ids(tmp_path) == ["gone.jpg"]
    assert digest(tmp_path / "gone.jpg") == ""


def test_names_that_are_no_utf8_are_found(tmp_path: Path) -> None:
    name = b"caf\xe9.jpg"
    (Path(tmp_path) / name.decode("utf-8", "surrogateescape")).write_text("x")
    assert [photo_id.encode("utf-8", "surrogateescape") for photo_id in ids(tmp_path)] == [name]


@pytest.mark.parametrize("name", ["absent", "file.txt"])
def test_what_is_no_folder_is_refused_by_name(tmp_path: Path, name: str) -> None:
    touch(tmp_path / "file.txt")
    with pytest.raises(DataError, match=name):
        find_photos(tmp_path / name, SUFFIXES)


def test_the_digest_is_of_the_content(tmp_path: Path) -> None:
    first, second, third = touch(tmp_path / "a", "x"), touch(tmp_path / "b", "x"), touch(tmp_path / "c", "y")
    assert digest(first) == digest(second) != digest(third)
    assert digest(tmp_path) == ""
