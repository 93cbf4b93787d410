"""Indexes of a folder: any history of additions, removals and crashes ends where a fresh one would."""

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from PIL import Image

from mmx.core.errors import ArtifactError, DataError, UsageError
from mmx.core.home import Home
from mmx.core.reporter import SilentReporter
from mmx.search import refresh as refreshing
from mmx.search.approximate import LEAST_ROWS
from mmx.store.gallery import Gallery
from mmx.workflows import index as workflow
from mmx.workflows import index_removal, searcher
from mmx.workflows.galleries import GALLERY, folder_index
from mmx.workflows.gallery_place import index_folder
from mmx.workflows.index_settings import IndexSettings
from mmx.workflows.index_state import info, verify
from mmx.workflows.search_settings import SearchSettings
from tests.workflows.stub_matcher import COLOURS, StubMatcher, search_with

QUIET = SilentReporter()
NAMES = ("a.png", "b.png", "c/d.png", "c/e.png", "c/f/g.png")
PLACES = (".", "c", "c/f", *NAMES)


class Crashing(StubMatcher):
    """Killed at the photo of this number."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at

    def encode_images(self, paths: Sequence[Path], reporter: object) -> tuple[torch.Tensor, list]:
        if len(self.encoded) + len(paths) > self.at:
            raise KeyboardInterrupt
        return super().encode_images(paths, reporter)


class Histories(RuleBasedStateMachine):
    """Beside the index a plain dict of the files, and the list of all that was added and removed."""

    def __init__(self) -> None:
        super().__init__()
        self.place = Path(tempfile.mkdtemp(prefix="mmx-index-"))
        self.home, self.root = Home(self.place / "home"), self.place / "photos"
        (self.root / "c" / "f").mkdir(parents=True)
        self.files: dict[str, str] = {}
        self.rules: list[tuple[str, bool]] | None = None
        self.write("a.png", "red")

    def teardown(self) -> None:
        shutil.rmtree(self.place)

    def covers(self, name: str) -> bool:
        said = [is_in for place, is_in in self.rules if place in (".", name) or name.startswith(f"{place}/")]
        return bool(said) and said[-1]

    @rule(name=st.sampled_from(NAMES), colour=st.sampled_from(COLOURS))
    def write(self, name: str, colour: str) -> None:
        Image.new("RGB", (2, 2), colour).save(self.root / name)
        self.files[name] = colour

    @precondition(lambda self: len(self.files) > 1)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.files)))
        (self.root / name).unlink()
        del self.files[name]

    @rule(place=st.sampled_from(PLACES))
    def add(self, place: str) -> None:
        if (self.root / place).exists():
            folder_index(StubMatcher(), self.root, self.home, QUIET, add=[place])
            self.rules = [*(self.rules or []), (place, True)]

    @precondition(lambda self: self.rules is not None)
    @rule(place=st.sampled_from(PLACES))
    def remove(self, place: str) -> None:
        asked = IndexSettings(self.root, (place,), home=self.home)
        try:
            index_removal.remove(asked, QUIET)
        except UsageError:
            return
        self.rules = None if place == "." else [*self.rules, (place, False)]

    @precondition(lambda self: self.rules is not None)
    @rule()
    def refresh(self) -> None:
        folder_index(StubMatcher(), self.root, self.home, QUIET)

    @rule(at=st.integers(0, 3))
    def crash(self, at: int) -> None:
        """Killed while it encodes, with a part of it saved; then it goes on."""
        try:
            folder_index(Crashing(at), self.root, self.home, QUIET)
        except KeyboardInterrupt:
            folder_index(StubMatcher(), self.root, self.home, QUIET)
        self.rules = self.rules or [(".", True)]

    @invariant()
    def what_is_found_is_what_brute_force_finds(self) -> None:
        if self.rules is None:
            assert not (index_folder(self.home, self.root, "stub-1") / GALLERY).exists()
            return
        gallery = folder_index(StubMatcher(), self.root, self.home, QUIET).gallery
        wanted = {name: self.files[name] for name in sorted(self.files) if self.covers(name)}
        assert [entry.id for entry in gallery.entries] == list(wanted)
        axes = [COLOURS.index(colour) for colour in wanted.values()]
        assert torch.equal(gallery.image_vectors.reshape(-1, 4), torch.eye(4)[axes])
        if wanted:
            asked = SearchSettings(query="red", folder=self.root, home=self.home)
            found = [hit.id for hit in search_with(StubMatcher(), asked, QUIET).hits]
            assert found == sorted(wanted, key=lambda name: (wanted[name] != "red", name))
        assert all(state.problems == () for state in verify(self.root, self.home, QUIET))


Histories.TestCase.settings = settings(max_examples=8, stateful_step_count=8, deadline=None)


class TestHistories(Histories.TestCase):
    @pytest.fixture(autouse=True)
    def saved_often(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(refreshing, "PIECE", 1)
        monkeypatch.setattr(refreshing, "SAVE_SECONDS", 0.0)
        monkeypatch.setattr(refreshing, "SAVE_SHARE", 0)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "c").mkdir(parents=True)
    for name, colour in (("a.png", "red"), ("b.png", "green"), ("c/d.png", "blue")):
        Image.new("RGB", (8, 8), colour).save(folder / name)
    return folder


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[StubMatcher]:
    """Every matcher that was opened."""
    matchers: list[StubMatcher] = []

    def open_stub(*_: object) -> StubMatcher:
        matchers.append(StubMatcher())
        return matchers[-1]

    monkeypatch.setattr(searcher, "open_matcher", open_stub)
    return matchers


def asked(home: Home, photos: Path, *names: str, **words: object) -> IndexSettings:
    return IndexSettings(photos, names, home=home, **{"model": "stub", **words})


def ids(home: Home, photos: Path) -> list[str]:
    path = index_folder(home, photos, "stub-1") / GALLERY
    return [entry.id for entry in Gallery.open(path).entries]


def test_what_is_removed_leaves_nothing_on_the_disk_and_needs_no_matcher(
    home: Home, photos: Path, opened: list[StubMatcher]
) -> None:
    workflow.add(asked(home, photos), QUIET)
    place = index_folder(home, photos, "stub-1")
    digest = Gallery.open(place / GALLERY).entries[1].digest
    (place / "second-look").mkdir()
    (place / "second-look" / f"{digest}.safetensors").touch()

    (change,) = index_removal.remove(IndexSettings(photos, ("b.png",), home=home), QUIET)

    assert (change.pictures, change.removed, len(opened)) == (2, 1, 1)
    assert str(photos / "b.png").encode() not in (place / GALLERY).read_bytes()
    assert digest.encode() not in (place / GALLERY).read_bytes()
    assert list((place / "second-look").iterdir()) == []
    index_removal.remove(IndexSettings(photos, home=home), QUIET)
    assert not (place / GALLERY).exists()
    with pytest.raises(ArtifactError, match="has no index"):
        info(photos, home)


def test_what_was_removed_stays_out_until_it_is_added(
    home: Home, photos: Path, opened: list[StubMatcher]
) -> None:
    workflow.add(asked(home, photos), QUIET)
    index_removal.remove(IndexSettings(photos, ("c",), home=home), QUIET)
    Image.new("RGB", (9, 9), "white").save(photos / "c" / "new.png")
    (change,) = workflow.refresh(IndexSettings(photos, home=home), QUIET)
    assert (ids(home, photos), change.encoded) == (["a.png", "b.png"], 0)
    assert info(photos, home)[0].removed == ("c",)

    workflow.add(asked(home, photos, "c/new.png"), QUIET)
    assert ids(home, photos) == ["a.png", "b.png", "c/new.png"]
    workflow.add(asked(home, photos), QUIET)
    assert ids(home, photos) == ["a.png", "b.png", "c/d.png", "c/new.png"]


def test_only_what_is_named_is_added_and_seen_from_anywhere(
    home: Home, photos: Path, opened: list[StubMatcher], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photos / "c")
    workflow.add(asked(home, photos, "d.png", str(photos / "a.png")), QUIET)
    assert ids(home, photos) == ["a.png", "c/d.png"]


def test_a_refresh_goes_by_what_made_the_index(
    home: Home, photos: Path, opened: list[StubMatcher], monkeypatch: pytest.MonkeyPatch
) -> None:
    workflow.add(asked(home, photos), QUIET)
    (photos / "a.png").unlink()
    (change,) = workflow.refresh(IndexSettings(photos, home=home), QUIET)
    assert (change.made_by, change.removed, change.pictures) == ("stub", 1, 2)

    monkeypatch.setattr(StubMatcher, "fingerprint", "stub-2")
    with pytest.raises(ArtifactError, match="'stub-1', and that has 'stub-2' now"):
        workflow.refresh(IndexSettings(photos, home=home), QUIET)
    with pytest.raises(ArtifactError, match="has no index by 'stub'"):
        workflow.refresh(asked(home, photos), QUIET)


@pytest.mark.parametrize(
    ("act", "names", "error", "words"),
    [
        (workflow.add, ("nowhere.png",), DataError, "no 'nowhere.png'"),
        (workflow.add, ("../other",), UsageError, "does not lie in"),
        (workflow.add, ("/etc/passwd",), UsageError, "does not lie in"),
        (index_removal.remove, ("b.pgn",), UsageError, "Did you mean 'b.png'"),
        (index_removal.remove, ("zzzz",), UsageError, "mmx index info DIR"),
    ],
)
def test_names_that_are_not_there_are_refused(
    home: Home,
    photos: Path,
    opened: list[StubMatcher],
    act: Callable,
    names: tuple[str, ...],
    error: type,
    words: str,
) -> None:
    workflow.add(asked(home, photos), QUIET)
    with pytest.raises(error, match=words):
        act(asked(home, photos, *names), QUIET)
    assert ids(home, photos) == ["a.png", "b.png", "c/d.png"]


def test_other_words_that_do_not_fit_are_refused(home: Home, photos: Path) -> None:
    for words, error, message in (
        ({"kind": "ivf"}, UsageError, "exact, pq, hnsw"),
        ({"run": Path("r")}, UsageError, "two ways to encode"),
    ):
        with pytest.raises(error, match=message):
            workflow.add(asked(home, photos, **words), QUIET)
    with pytest.raises(ArtifactError, match="has no index"):
        index_removal.remove(IndexSettings(photos, home=home), QUIET)


def test_an_index_without_pictures_is_told_of_when_it_is_searched(
    home: Home, photos: Path, opened: list[StubMatcher]
) -> None:
    workflow.add(asked(home, photos, "a.png"), QUIET)
    index_removal.remove(IndexSettings(photos, ("a.png",), home=home), QUIET)
    with pytest.raises(DataError, match="is empty: what is there was removed"):
        search_with(StubMatcher(), SearchSettings(query="red", folder=photos, home=home), QUIET)


def test_damage_is_found_and_a_rebuild_mends_it(home: Home, photos: Path, opened: list[StubMatcher]) -> None:
    workflow.add(asked(home, photos), QUIET)
    path = index_folder(home, photos, "stub-1") / GALLERY
    whole = path.read_bytes()
    spot = whole.index(torch.eye(4)[0].numpy().tobytes())
    path.write_bytes(whole[:spot] + b"\x00\x00\x00\x40" + whole[spot + 4 :])

    (state,) = verify(photos, home, QUIET)

    assert "bytes of 'image_vectors'" in state.problems[0]
    assert "1 vectors are not of unit length" in state.problems[1]
    workflow.refresh(IndexSettings(photos, rebuild=True, home=home), QUIET)
    assert verify(photos, home, QUIET)[0].problems == ()


def test_verifying_counts_what_is_outdated(home: Home, photos: Path, opened: list[StubMatcher]) -> None:
    workflow.add(asked(home, photos), QUIET)
    (photos / "a.png").unlink()
    before = (photos / "b.png").stat()
    Image.new("RGB", (8, 8), "white").save(photos / "b.png")
    os.utime(photos / "b.png", ns=(before.st_atime_ns, before.st_mtime_ns))
    Image.new("RGB", (8, 8), "red").save(photos / "new.png")
    assert verify(photos, home, QUIET)[0].outdated == 3


def test_a_compressed_index_follows_its_gallery(
    home: Home, photos: Path, opened: list[StubMatcher], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmx.search.approximate.LEAST_ROWS", 20)
    monkeypatch.setattr("mmx.workflows.compressed.LEAST_ROWS", 20)
    for number in range(30):
        colour = COLOURS[number % 4]
        Image.new("RGB", (8, 8 + number), colour).save(photos / f"n{number:02d}.png")
    (change,) = workflow.add(asked(home, photos, kind="pq"), QUIET)
    assert change.kind == "pq" and len(change.recall) == 2
    assert info(photos, home)[0].kind == "pq"

    index_removal.remove(IndexSettings(photos, ("n00.png",), home=home), QUIET)
    assert not (index_folder(home, photos, "stub-1") / "approximation.safetensors").exists()
    assert workflow.refresh(IndexSettings(photos, home=home), QUIET)[0].kind == "pq"
    assert workflow.refresh(IndexSettings(photos, kind="exact", home=home), QUIET)[0].kind == "exact"
    assert not (index_folder(home, photos, "stub-1") / "approximation.safetensors").exists()


def test_few_pictures_are_searched_exactly_whatever_was_asked(
    home: Home, photos: Path, opened: list[StubMatcher]
) -> None:
    (change,) = workflow.add(asked(home, photos, kind="hnsw"), QUIET)
    assert (change.kind, LEAST_ROWS) == ("exact", 1000)
    assert verify(photos, home, QUIET)[0].problems == ()
