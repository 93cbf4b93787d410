"""An index kept by Milvus: what is said when it is away, somebody else's, or only half there."""

import dataclasses
import fcntl
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from mmx.core.errors import ArtifactError, DataError, UsageError
from mmx.core.reporter import SilentReporter
from mmx.search.milvus import MilvusIndex
from mmx.search.milvus_client import Address, Connection
from mmx.search.milvus_copy import header_at, remove_index, write_gallery
from mmx.search.milvus_header import ABOUT, read_header, write_header
from mmx.store.entries import Entries, Entry
from mmx.store.gallery import Gallery
from mmx.store.scope import Scope
from mmx.workflows.picture_columns import folder_columns
from tests.search.milvus_home import WIDTH, milvus_file, milvus_server, small_gallery

__all__ = ["milvus_server"]


@pytest.fixture
def place(milvus_server: str, request: pytest.FixtureRequest) -> str:
    """The address of a collection that no other test uses."""
    return f"{milvus_server}#t{abs(hash(request.node.name))}"


def write(address: str, gallery: Gallery, kind: str | None = None):
    return write_gallery(address, gallery, folder_columns(gallery), kind, SilentReporter())


def part_of(gallery: Gallery, rows: list[int]) -> Gallery:
    entries = Entries.of(gallery.entries[row] for row in rows)
    return dataclasses.replace(gallery, entries=entries, image_vectors=gallery.image_vectors[rows])


def same(one: Gallery, other: Gallery) -> bool:
    names = ("source", "fingerprint", "entries", "unreadable", "complete", "made_by", "scope", "kind")
    alike = all(getattr(one, name) == getattr(other, name) for name in names)
    return alike and torch.equal(one.image_vectors, other.image_vectors)


def test_what_was_written_comes_back_bit_by_bit_names_that_are_no_text_included(place: str) -> None:
    odd = Entry("z/\udce9.jpg", "/photos/z/\udce9.jpg", size=3, digest="d")
    small = small_gallery(20)
    gallery = dataclasses.replace(
        small,
        entries=Entries.of([*small.entries, odd]),
        image_vectors=torch.cat([small.image_vectors, torch.eye(WIDTH)[:1]]),
        scope=Scope({".": True, "caf\udce9": False}),
        unreadable=Entries.of(Entry(f"{row}.jpg", "/p" * 500, reason="damaged") for row in range(200)),
    )
    write(place, gallery)
    assert same(MilvusIndex.open(place).gallery(), gallery)


def test_only_what_differs_is_sent_and_what_is_gone_is_removed(place: str) -> None:
    gallery = small_gallery(30)
    first = write(place, part_of(gallery, list(range(25))))
    changed = part_of(gallery, list(range(5, 30)))
    changed.image_vectors[0] = torch.eye(WIDTH)[0]
    second = write(place, changed)
    assert (first.sent, first.kept, first.removed) == (25, 0, 0)
    assert (second.sent, second.kept, second.removed) == (6, 19, 5)
    assert same(MilvusIndex.open(place).gallery(), changed)


def test_a_copy_that_is_killed_is_refused_and_goes_on_where_it_ended(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery, ask, sent = small_gallery(30), Connection.ask, []

    def killed(self: Connection, what: str, *about: object, **words: object) -> object:
        if what == "upsert" and not about[0].endswith(ABOUT):
            if len(sent) == 2:
                raise KeyboardInterrupt
            sent.append(about)
        return ask(self, what, *about, **words)

    monkeypatch.setattr("mmx.search.milvus_copy.MESSAGE_BYTES", 10 * (4 * WIDTH + 2048))
    monkeypatch.setattr(Connection, "ask", killed)
    with pytest.raises(KeyboardInterrupt):
        write(place, gallery)
    monkeypatch.setattr(Connection, "ask", ask)

    with pytest.raises(ArtifactError, match=f"broken off.*mmx index copy SRC {place}"):
        MilvusIndex.open(place)
    assert header_at(place).writing
    done = write(place, gallery)
    assert (done.sent, done.kept) == (10, 20)
    assert same(MilvusIndex.open(place).gallery(), gallery)


def test_an_index_of_another_run_or_folder_is_refused_naming_both(place: str) -> None:
    write(place, small_gallery(12))
    with pytest.raises(ArtifactError, match="made with 'f1', but what searches now is 'f2'"):
        MilvusIndex.open(place, "f2")
    with pytest.raises(ArtifactError, match=r"made with 'f1'.*'f2'.*mmx index remove"):
        write(place, small_gallery(12, fingerprint="f2"))
    with pytest.raises(ArtifactError, match=r"of the photos in '/photos'.*'/other'"):
        write(place, small_gallery(12, source="/other"))
    assert len(MilvusIndex.open(place).gallery().entries) == 12


def test_another_width_and_missing_or_changed_rows_are_told(place: str) -> None:
    write(place, small_gallery(12))
    connection = Connection(Address.parse(place))
    header = read_header(connection)
    write_header(connection, dataclasses.replace(header, width=8))
    with pytest.raises(ArtifactError, match=f"are {WIDTH} wide and ought to be 8"):
        MilvusIndex.open(place)
    write_header(connection, dataclasses.replace(header, content="12-00000000"))
    with pytest.raises(ArtifactError, match="vectors are not those that were written"):
        MilvusIndex.open(place).gallery()
    write_header(connection, header)
    connection.ask("delete", connection.address.collection, filter="size == 0")
    with pytest.raises(ArtifactError, match="11 pictures are there and 12 were written"):
        MilvusIndex.open(place).gallery()
    connection.ask("drop_collection", connection.address.collection)
    with pytest.raises(ArtifactError, match="its pictures are gone"):
        MilvusIndex.open(place)
    remove_index(place)
    assert write(place, small_gallery(12)).sent == 12


def test_two_that_write_at_once_do_not_both_think_it_whole(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mmx.search import milvus_copy

    gallery, real = small_gallery(12), milvus_copy.recall

    def meanwhile(*words: object) -> float:
        connection = Connection(Address.parse(place))
        write_header(connection, dataclasses.replace(read_header(connection), writing="another"))
        return real(*words)

    monkeypatch.setattr(milvus_copy, "recall", meanwhile)
    with pytest.raises(ArtifactError, match="another mmx wrote"):
        write(place, gallery)
    with pytest.raises(ArtifactError, match="is being written"):
        MilvusIndex.open(place)


def test_the_kind_is_kept_until_another_is_asked_for(place: str) -> None:
    gallery = small_gallery(60)
    assert write(place, gallery).header.kind == "exact"
    graph = write(place, gallery, "hnsw").header
    assert (graph.kind, graph.effort > 0, list(graph.recall)) == ("hnsw", True, ["60 of its photos"])
    assert write(place, gallery).header.kind == "hnsw"
    assert same(MilvusIndex.open(place).gallery(), gallery)
    with pytest.raises(UsageError, match=r"'pq' is no kind of index in Milvus\. There is: exact, hnsw"):
        write(place, gallery, "pq")


def test_nothing_and_what_is_no_number_is_not_copied(place: str) -> None:
    gallery = small_gallery(12)
    with pytest.raises(DataError, match="nothing to copy"):
        write(place, part_of(gallery, []))
    gallery.image_vectors[3, 0] = float("nan")
    with pytest.raises(DataError, match="NaN or infinity"):
        write(place, gallery)
    with pytest.raises(ArtifactError, match="there is no index at"):
        MilvusIndex.open(place)


def test_what_somebody_else_keeps_there_is_left_alone(place: str) -> None:
    connection = Connection(Address.parse(place))
    connection.ask("create_collection", connection.address.collection, dimension=4)
    for act in (
        lambda: write(place, small_gallery(3)),
        lambda: MilvusIndex.open(place),
        lambda: remove_index(place),
    ):
        with pytest.raises(ArtifactError, match="is no index of mmx"):
            act()
    assert connection.ask("has_collection", connection.address.collection)


def test_an_index_is_removed_whole_or_half(place: str) -> None:
    write(place, small_gallery(12))
    connection = Connection(Address.parse(place))
    write_header(connection, dataclasses.replace(read_header(connection), writing="x"))
    assert remove_index(place).pictures == 12
    assert connection.ask("list_collections") is not None
    assert not any(
        name.startswith(connection.address.collection) for name in connection.ask("list_collections")
    )
    with pytest.raises(ArtifactError, match="there is no index at"):
        remove_index(place)


def test_more_hits_than_milvus_gives_are_refused(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write(place, small_gallery(12))
    monkeypatch.setattr("mmx.search.milvus.MOST_HITS", 10)
    with pytest.raises(UsageError, match=r"12 hits cannot be had of Milvus\. Ask for at most 4"):
        MilvusIndex.open(place).nearest(torch.eye(WIDTH)[:1], 12)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    return lambda said: monkeypatch.setenv("MMX_MILVUS_TIMEOUT", said)


def test_a_server_that_is_away_or_says_nothing_is_told_of_in_time(patient: Callable[[str], None]) -> None:
    patient("0.3")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(ArtifactError, match=rf"'{address}' gives no answer \(waited for 0.3 s"):
            MilvusIndex.open(address)
    # closed now: nobody listens
    with pytest.raises(ArtifactError, match=rf"'{address}#photos' gives no answer"):
        MilvusIndex.open(f"{address}#photos")


def test_a_server_that_goes_away_in_the_middle_is_told_of(tmp_path: Path) -> None:
    from milvus_lite.server_manager import server_manager_instance

    path = str(tmp_path / "leaving.db")
    address = server_manager_instance.start_and_get_uri(path)
    write(address, small_gallery(12))
    index = MilvusIndex.open(address)
    index.connection.seconds = 0.5
    server_manager_instance.release_server(path)
    with pytest.raises(ArtifactError, match="gives no answer"):
        index.nearest(torch.eye(WIDTH)[:1], 3)


def test_time_that_is_no_number_is_refused(patient: Callable[[str], None]) -> None:
    for said in ("soon", "0", "-1", "nan", "inf"):
        patient(said)
        with pytest.raises(UsageError, match=f"MMX_MILVUS_TIMEOUT='{said}'"):
            Connection(Address.parse("http://127.0.0.1:1"))


@pytest.mark.parametrize(
    "address", ["http://me:secret@host:19530", "https://secret@host", "http://host@x#secret"]
)
def test_an_address_with_a_password_is_refused_and_not_repeated(address: str) -> None:
    with pytest.raises(UsageError, match="MMX_MILVUS_TOKEN") as caught:
        Address.parse(address)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "address", ["ftp://host/x", "http://", "http://host:port", "http://host#a-b", "http://[x"]
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="is no"):
        Address.parse(address)


def test_the_token_of_the_environment_is_sent_and_never_told(
    milvus_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMX_MILVUS_TOKEN", "me:secret")
    given = {}
    real = Connection.__init__.__globals__["MilvusClient"]

    def opened(uri: str, **words: object) -> object:
        given.update(words)
        return real(uri, **words)

    monkeypatch.setitem(Connection.__init__.__globals__, "MilvusClient", opened)
    connection = Connection(Address.parse(milvus_server))
    assert given["token"] == "me:secret"
    with pytest.raises(ArtifactError) as caught:
        connection.ask("describe_collection", "me:secret")
    assert "secret" not in str(caught.value)


def test_files_that_are_not_there_or_not_of_milvus_or_in_use_are_told(tmp_path: Path) -> None:
    address = milvus_file(tmp_path)
    with pytest.raises(ArtifactError, match=r"there is no index '.*photos\.db'"):
        MilvusIndex.open(address)
    assert not Path(address).exists()
    Path(address).write_text("something else")
    for act in (lambda: MilvusIndex.open(address), lambda: write(address, small_gallery(3))):
        with pytest.raises(ArtifactError, match="is no file of Milvus"):
            act()
    assert Path(address).read_text() == "something else"
    Path(address).unlink()
    Path(address).mkdir()
    with (Path(address) / "LOCK").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(ArtifactError, match="in use by another process"):
            MilvusIndex.open(address)
