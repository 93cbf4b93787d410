"""mmx index: the words on the screen, the exit codes, and documents for programs."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from mmx.core.home import Home
from mmx.store.gallery import Gallery
from mmx.workflows.gallery_place import index_folder
from tests.typed import typed

Run = Callable[..., tuple[int, str, str]]
MODEL = ("--model", "random:clip")


@pytest.fixture
def run(home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return partial(typed, monkeypatch, capsys)


@pytest.fixture
def photos(tmp_path: Path) -> str:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, colour in (("one", "red"), ("two", "green"), ("three", "blue")):
        Image.new("RGB", (32, 24), colour).save(folder / f"{name}.png")
    (folder / "bad.jpg").write_text("no picture")
    return str(folder)


def test_an_index_from_its_first_picture_to_its_last(run: Run, photos: str, home: Home) -> None:
    code, out, err = run("index", "add", photos, *MODEL)
    assert code == 0 and "random:clip" in out and "'bad.jpg'" in err

    (Path(photos) / "one.png").unlink()
    document = json.loads(run("index", "refresh", photos, "--json")[1])
    assert document["schema"] == "mmx.index/1"
    counted = ("pictures", "encoded", "removed", "unreadable")
    assert [document["indexes"][0][name] for name in counted] == [2, 0, 1, 1]

    assert run("index", "remove", photos, "two.png")[0] == 0
    code, out, _ = run("index", "info", photos)
    assert code == 0 and "1, and 1 that cannot be read" in out and "two.png" in out
    code, out, _ = run("index", "verify", photos)
    assert code == 0 and "whole" in out and "0 photos are new" in out
    assert json.loads(run("index", "verify", photos, "--json")[1])["indexes"][0]["problems"] == []

    assert run("index", "remove", photos)[0] == 0
    assert run("index", "info", photos)[0] == 4


def test_damage_is_told_with_the_way_to_mend_it(run: Run, photos: str, home: Home) -> None:
    run("index", "add", photos, *MODEL)
    (path,) = home.indexes.glob("*/gallery.safetensors")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    code, out, err = run("index", "verify", photos)
    assert code == 4 and "bytes of" in out and "--rebuild" in err
    assert run("index", "refresh", photos, "--rebuild")[0] == 0
    assert run("index", "verify", photos)[0] == 0


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("add", "absent", *MODEL), 3, "does not exist"),
        (("add", ".", "../x.png", *MODEL), 2, "does not lie in"),
        (("add", ".", "--kind", "ivf", *MODEL), 2, "exact, pq, hnsw"),
        (("add", ".", "--run", "r", *MODEL), 2, "two ways to encode"),
        (("add", ".", "--run", "absent"), 4, "no run at 'absent'"),
        (("refresh", "."), 4, "mmx index add"),
        (("remove", "."), 4, "mmx index add"),
        (("info", "."), 4, "mmx index add"),
        (("verify", "."), 4, "mmx index add"),
        (("nonsense",), 2, "nonsense"),
    ],
)
def test_each_mistake_has_its_words_and_its_code(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], code: int, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    left, out, err = run("index", *words)
    assert (left, out) == (code, "")
    assert message in err and "Traceback" not in err


@pytest.mark.parametrize(
    ("folder", "photo"),
    [
        ("../photos", "one.png"),
        ("../photos/", "../photos/one.png"),
        ("../link", "../link/one.png"),
        ("./../photos", "./one.png"),
    ],
)
def test_every_verb_takes_every_spelling_of_a_folder(
    run: Run, photos: str, home: Home, monkeypatch: pytest.MonkeyPatch, folder: str, photo: str
) -> None:
    root = Path(photos)
    root.with_name("link").symlink_to(root)
    root.with_name("work").mkdir()
    monkeypatch.chdir(root.with_name("work"))
    run("index", "add", photos, *MODEL)
    (removed,) = json.loads(run("index", "remove", folder, photo, "--json")[1])["indexes"]
    assert (removed["folder"], removed["removed"], removed["pictures"]) == (photos, 1, 2)
    for verb in ("info", "verify", "refresh"):
        code, out, _ = run("index", verb, folder, "--json")
        assert code == 0 and json.loads(out)["indexes"][0]["folder"] == photos
    assert len(list(home.indexes.iterdir())) == 1


@pytest.mark.parametrize("before", ["photos", "work/../photos", "link"])
def test_an_index_kept_under_another_spelling_is_found_and_nothing_is_encoded_again(
    run: Run, photos: str, home: Home, before: str
) -> None:
    root = Path(photos)
    root.with_name("link").symlink_to(root)
    root.with_name("work").mkdir()
    run("index", "add", photos, *MODEL)
    (kept,) = home.indexes.glob("*/gallery.safetensors")
    old = f"{root.parent}/{before}"
    gallery = Gallery.open(kept)
    place = index_folder(home, old, gallery.fingerprint)
    shutil.rmtree(kept.parent)
    dataclasses.replace(gallery, source=old).save(place / kept.name)

    assert json.loads(run("index", "info", photos, "--json")[1])["indexes"][0]["pictures"] == 3
    (change,) = json.loads(run("index", "refresh", photos, "--json")[1])["indexes"]
    assert (change["folder"], change["encoded"], change["kept"]) == (photos, 0, 4)
    assert [path.parent for path in home.indexes.glob("*/gallery.safetensors")] == [kept.parent]
    assert len(list(home.indexes.iterdir())) == 1


def test_few_photos_stay_exact_and_only_a_refresh_says_so(run: Run, photos: str) -> None:
    run("index", "add", photos, *MODEL)
    for words in (("--kind", "pq"), ()):
        assert "exact while it has fewer than 1,000" in run("index", "refresh", photos, *words)[2]
    code, _, err = run("search", "red", "--in", photos, *MODEL, "--paths")
    assert code == 0 and "exact while" not in err
    assert "exact" not in run("search", "red", "--in", photos, *MODEL, "--paths", "--no-refresh")[2]
