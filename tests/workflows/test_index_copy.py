"""Indexes that are copied: round trips, what an address is told, and a search that finds the same."""

import json
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from mmx.core.errors import ArtifactError, MissingExtraError, UsageError
from mmx.core.home import Home
from mmx.core.reporter import SilentReporter
from mmx.store.gallery import Gallery
from mmx.workflows import index as workflow
from mmx.workflows import index_removal, searcher
from mmx.workflows.galleries import GALLERY, folder_index
from mmx.workflows.gallery_place import index_folder
from mmx.workflows.index_copy import CopySettings, IndexCopy, copy
from mmx.workflows.index_settings import IndexSettings
from mmx.workflows.index_state import info, verify
from mmx.workflows.search import search
from mmx.workflows.search_settings import SearchSettings, check
from mmx.workflows.serve import Question, Service
from tests.search.milvus_home import milvus_file, milvus_server
from tests.workflows.stub_matcher import COLOURS, StubMatcher, search_with

__all__ = ["milvus_server"]
QUIET = SilentReporter()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "c").mkdir(parents=True)
    for number in range(12):
        name = f"{'c/' * (number % 2)}{number:02d}.png"
        Image.new("RGB", (8, 8 + number), COLOURS[number % 4]).save(folder / name)
    (folder / "bad.jpg").write_text("no picture")
    return folder


@pytest.fixture(autouse=True)
def stub(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is to be opened is the stub."""
    monkeypatch.setattr(searcher, "open_matcher", lambda *_: StubMatcher())


@pytest.fixture
def indexed(home: Home, photos: Path) -> Path:
    folder_index(StubMatcher(), photos, home, QUIET)
    return photos


@pytest.fixture
def place(milvus_server: str, request: pytest.FixtureRequest) -> str:
    return f"{milvus_server}#w{abs(hash(request.node.name))}"


def copied(home: Home, source: object, target: object, **words: object) -> IndexCopy:
    return copy(CopySettings(str(source), str(target), home=home, **words), QUIET)


def kept(home: Home, photos: Path) -> Gallery:
    return Gallery.open(index_folder(home, photos, "stub-1") / GALLERY)


def same(one: Gallery, other: Gallery) -> bool:
    names = ("source", "fingerprint", "unreadable", "complete", "made_by", "scope", "kind", "content")
    return (
        all(getattr(one, name) == getattr(other, name) for name in names)
        and list(one.entries) == list(other.entries)
        and torch.equal(one.image_vectors, other.image_vectors)
    )


def test_a_way_round_through_every_place_ends_where_it_began(
    home: Home, indexed: Path, tmp_path: Path
) -> None:
    before = kept(home, indexed)
    file, first, second = milvus_file(tmp_path), tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    assert copied(home, indexed, file).recall == {"12 of its photos": 1.0}
    copied(home, file, first)
    copied(home, first, second)
    other = Home(tmp_path / "other")
    copied(other, second, indexed)
    assert same(Gallery.open(first), before) and same(kept(other, indexed), before)


def test_a_search_of_a_copy_finds_what_a_search_of_the_folder_finds(
    home: Home, indexed: Path, place: str, tmp_path: Path
) -> None:
    copied(home, indexed, place)
    copied(home, indexed, tmp_path / "p.safetensors")
    for words in (
        {"query": "red"},
        {"query": "red - blue", "top": 12},
        {"query": "green", "where": "folder = 'c' AND size > 0 AND name <> '01.png'"},
        {"query": "white", "min_score": "0.5"},
        {"query": "blue", "collapse": 0.98},
        {"image": indexed / "00.png"},
    ):
        inside = search_with(StubMatcher(), SearchSettings(folder=indexed, home=home, **words), QUIET)
        for address in (place, str(tmp_path / "p.safetensors")):
            found = search(SearchSettings(index=address, home=home, **words), QUIET).document()
            assert found == inside.document()


def test_a_condition_beyond_milvus_is_refused_there_and_met_in_a_file(
    home: Home, indexed: Path, place: str, tmp_path: Path
) -> None:
    copied(home, indexed, place)
    asked = {"query": "red", "where": "lower(name) = '00.png'", "home": home}
    with pytest.raises(UsageError, match=r"more than Milvus can filter by.*DST\.safetensors"):
        search(SearchSettings(index=place, **asked), QUIET)
    copied(home, place, tmp_path / "p.safetensors")
    found = search(SearchSettings(index=str(tmp_path / "p.safetensors"), **asked), QUIET)
    assert [hit.id for hit in found.hits] == ["00.png"]


def test_a_refresh_of_a_copy_encodes_what_is_new_and_sends_what_differs(
    home: Home, indexed: Path, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied(home, indexed, place)
    Image.new("RGB", (9, 99), "red").save(indexed / "new.png")
    (indexed / "00.png").unlink()
    matcher = StubMatcher()
    monkeypatch.setattr(searcher, "open_matcher", lambda *_: matcher)

    # A home without the index of the folder: it begins with what is at the address.
    (change,) = workflow.refresh(IndexSettings(place, home=Home(tmp_path / "other")), QUIET)

    assert matcher.encoded == ["new.png"]
    assert (change.encoded, change.kept, change.removed, change.pictures) == (1, 12, 1, 12)
    assert verify(place, home, QUIET)[0].outdated == 0


def test_pictures_are_taken_out_of_a_copy_and_the_copy_removed(home: Home, indexed: Path, place: str) -> None:
    copied(home, indexed, place)
    (change,) = index_removal.remove(IndexSettings(place, ("c",), home=home), QUIET)
    assert (change.pictures, change.removed, change.recall) == (6, 6, {"6 of its photos": 1.0})
    (state,) = info(place, home)
    assert (state.pictures, state.removed, state.complete) == (6, ("c",), True)
    with pytest.raises(UsageError, match="that is all of"):
        index_removal.remove(
            IndexSettings(place, ("c", "bad.jpg", *(f"{n:02d}.png" for n in range(0, 12, 2)))), QUIET
        )
    assert index_removal.remove(IndexSettings(place, home=home), QUIET)[0].removed == 6
    with pytest.raises(ArtifactError, match="there is no index at"):
        info(place, home)
    assert len(kept(home, indexed).entries) == 12


def test_a_file_is_removed_only_if_it_is_an_index(home: Home, indexed: Path, tmp_path: Path) -> None:
    file = tmp_path / "p.safetensors"
    copied(home, indexed, file)
    assert index_removal.remove(IndexSettings(str(file), home=home), QUIET)[0].removed == 12
    assert not file.exists()
    file.write_text("something else")
    with pytest.raises(ArtifactError, match="not a whole safetensors file"):
        index_removal.remove(IndexSettings(str(file), home=home), QUIET)
    with pytest.raises(ArtifactError, match="not a whole safetensors file"):
        copied(home, indexed, file)
    assert file.read_text() == "something else"


def test_verifying_tells_damage_and_what_is_outdated(
    home: Home, indexed: Path, tmp_path: Path, milvus_server: str, place: str
) -> None:
    from mmx.search.milvus_client import Address, Connection

    copied(home, indexed, place)
    Image.new("RGB", (9, 99), "red").save(indexed / "new.png")
    (state,) = verify(place, home, QUIET)
    assert (state.problems, state.outdated, state.bytes) == ((), 1, None)
    connection = Connection(Address.parse(place))
    connection.ask("delete", connection.address.collection, filter="name == '00.png'")
    (state,) = verify(place, home, QUIET)
    assert "11 pictures are there and 12 were written" in state.problems[0]
    assert state.mended_by == f"mmx index remove {place}, then mmx index copy SRC {place}"


def test_what_cannot_be_copied_is_refused(home: Home, indexed: Path, tmp_path: Path, place: str) -> None:
    file = tmp_path / "p.safetensors"
    for source, target, words, error, message in (
        (indexed, indexed, {}, UsageError, "copied to itself"),
        (indexed, file, {"kind": "hnsw"}, UsageError, "mmx index refresh DIR --kind hnsw"),
        (indexed, place, {"kind": "pq"}, UsageError, "There is: exact, hnsw"),
        (indexed, file, {"run": Path("a"), "model": "b"}, UsageError, "Give one of them"),
        (file, place, {"model": "b"}, UsageError, "choose among the indexes of a folder"),
        (indexed, file, {"model": "other"}, UsageError, r"0 indexes by 'other'.*: stub"),
        (tmp_path, file, {}, ArtifactError, "has no index"),
        (tmp_path / "no.safetensors", place, {}, ArtifactError, "there is no file"),
        (tmp_path / "no.db", file, {}, ArtifactError, "there is no index"),
        (indexed, tmp_path / "elsewhere", {}, UsageError, "or to the folder that it is of"),
    ):
        with pytest.raises(error, match=message):
            copied(home, source, target, **words)
    assert not file.exists() and not (tmp_path / "no.db").exists()


def test_one_of_several_indexes_of_a_folder_is_named(home: Home, indexed: Path, tmp_path: Path) -> None:
    other = StubMatcher()
    other.name, other.fingerprint = "other", "stub-2"
    folder_index(other, indexed, home, QUIET)
    with pytest.raises(UsageError, match=r"2 indexes to choose from.*(stub, other|other, stub)"):
        copied(home, indexed, tmp_path / "p.safetensors")
    assert copied(home, indexed, tmp_path / "p.safetensors", model="other").made_by == "other"
    with pytest.raises(ArtifactError, match=r"'stub-2'.*'stub-1'"):
        copied(home, indexed, tmp_path / "p.safetensors", model="stub")


def test_what_searches_a_copy_is_what_made_it_or_what_is_named(
    home: Home, indexed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = str(tmp_path / "p.safetensors")
    copied(home, indexed, file)
    monkeypatch.setattr(StubMatcher, "fingerprint", "stub-2")
    with pytest.raises(ArtifactError, match="'stub-1', and that has 'stub-2' now"):
        search(SearchSettings(query="red", index=file, home=home), QUIET)
    with pytest.raises(ArtifactError, match="'stub-1', but what searches now is 'stub-2'"):
        search(SearchSettings(query="red", index=file, model="stub", home=home), QUIET)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"folder": Path("p")}, "--in does not go with --index"),
        ({"rebuild": True}, "--rebuild does not go with --index"),
        ({"where": "size > 1", "table": Path("t.csv")}, "--table does not go with --index"),
        ({"captions": True}, "--captions needs a dataset, and --index"),
        ({"dataset": "toy"}, "--dataset needs a dataset, and --index"),
    ],
)
def test_words_that_do_not_go_with_an_index_are_refused(words: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check(SearchSettings(query="red", index="photos.db", **words))


def test_photos_are_added_to_the_index_of_their_folder(home: Home) -> None:
    with pytest.raises(UsageError, match=r"mmx index add DIR; then mmx index copy DIR photos\.db"):
        workflow.add(IndexSettings("photos.db", model="stub", home=home), QUIET)


def test_without_milvus_the_extra_is_named(
    home: Home, indexed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mmx.search

    for name in ("milvus", "milvus_client", "milvus_copy"):
        monkeypatch.delitem(sys.modules, f"mmx.search.{name}", raising=False)
        monkeypatch.delattr(mmx.search, name, raising=False)
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    with pytest.raises(MissingExtraError, match=r"'pymilvus'.*pip install 'mmx\[milvus\]'"):
        copied(home, indexed, "photos.db")


def test_a_service_answers_from_a_copy_and_gives_its_pictures(home: Home, indexed: Path, place: str) -> None:
    copied(home, indexed, place)
    service = Service(SearchSettings(index=place, home=home), QUIET)
    assert (service.about["pictures"], service.about["searched"]) == (12, ["photos"])
    document = service.search(Question("red", top=2))
    hit = document["hits"][0]
    assert hit["id"] == "00.png" and str(indexed) not in json.dumps(document)
    assert service.picture(hit["key"], 480)[:2] == b"\xff\xd8"
    for key in ("0-123456789", "1-0", "0-99999999999999999999", "x"):
        with pytest.raises(UsageError, match="there is no picture"):
            service.picture(key, 480)
