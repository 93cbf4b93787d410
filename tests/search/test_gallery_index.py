"""The contract of an index, held by every back end alike: in a file, compressed, and kept by Milvus."""

import functools
import sys
from collections.abc import Callable, Iterator

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize

from mmx.core.errors import ArtifactError, UsageError
from mmx.core.reporter import SilentReporter
from mmx.search.approximate import build
from mmx.search.exact import top_k
from mmx.search.gallery_index import GalleryIndex, LocalIndex, in_file
from mmx.search.where import rows_where
from mmx.store.codes import round_off
from mmx.store.gallery import Gallery
from mmx.workflows.index_address import milvus
from mmx.workflows.picture_columns import folder_columns
from tests.search.milvus_home import WIDTH, milvus_file, milvus_server, small_gallery

__all__ = ["milvus_server"]
ROWS, HITS = 1100, 10
GALLERY = small_gallery(ROWS)
COLUMNS = functools.partial(folder_columns, GALLERY)
QUERIES = normalize(torch.randn(40, WIDTH, generator=torch.Generator().manual_seed(1)), dim=1)
BACK_ENDS = ("exact", "codes", "pq", "hnsw", "milvus-file", "milvus-server", "milvus-hnsw")
EXACT = ("exact", "codes", "milvus-file", "milvus-server")
"""Those that look at every picture."""


def local(kind: str) -> LocalIndex:
    if kind == "exact":
        return LocalIndex(GALLERY, columns=COLUMNS)
    if kind == "codes":
        codes = round_off(GALLERY.image_vectors)
        return LocalIndex(Gallery(**{**vars(GALLERY), "codes": codes}), columns=COLUMNS)
    probes = {"probes": QUERIES}
    compressed = build(kind, GALLERY, probes, {"probes": top_k(QUERIES, GALLERY.image_vectors, HITS)[1]})
    return LocalIndex(GALLERY, compressed, COLUMNS)


@pytest.fixture(scope="module")
def opened(
    milvus_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], GalleryIndex]]:
    """A back end by its name, made when it is first asked for."""
    addresses = {
        "milvus-file": (milvus_file(tmp_path_factory.mktemp("contract")), "exact"),
        "milvus-server": (f"{milvus_server}#contract", "exact"),
        "milvus-hnsw": (f"{milvus_server}#graph", "hnsw"),
    }
    kept = []

    @functools.cache
    def made(name: str) -> GalleryIndex:
        if name not in addresses:
            return local(name)
        address, kind = addresses[name]
        milvus().write_gallery(address, GALLERY, COLUMNS(), kind, SilentReporter())
        kept.append(milvus().MilvusIndex.open(address, "f1"))
        return kept[-1]

    yield made
    for index in kept:
        index.close()


@pytest.fixture(params=BACK_ENDS)
def index(request: pytest.FixtureRequest, opened: Callable[[str], GalleryIndex]) -> GalleryIndex:
    return opened(request.param)


@pytest.fixture(params=EXACT)
def exact_index(request: pytest.FixtureRequest, opened: Callable[[str], GalleryIndex]) -> GalleryIndex:
    return opened(request.param)


def names(index: GalleryIndex, keys: torch.Tensor) -> list[str]:
    return [entry.id for entry in index.entries_at(keys.tolist())]


def test_it_knows_what_it_is_of(index: GalleryIndex) -> None:
    assert (index.source, index.fingerprint, len(index)) == ("/photos", "f1", ROWS)
    assert [bad.id for bad in index.unreadable] == ["caf\udce9.jpg"]


def test_captions_are_in_files_alone(opened: Callable[[str], GalleryIndex]) -> None:
    assert in_file(opened("codes")) is opened("codes")
    with pytest.raises(UsageError, match="'/photos' has no captions to find"):
        in_file(opened("milvus-file"))


def test_it_finds_what_exact_search_finds(index: GalleryIndex, request: pytest.FixtureRequest) -> None:
    scores, keys = index.nearest(QUERIES, HITS)
    right = top_k(QUERIES, GALLERY.image_vectors, HITS)[1]
    wanted = [{GALLERY.entries[row].id for row in rows} for rows in right.tolist()]
    shares = [len(set(names(index, some)) & those) / HITS for some, those in zip(keys, wanted, strict=True)]
    recall = sum(shares) / len(shares)
    sys.stdout.write(f"recall@{HITS} against exact, {request.node.callspec.params['index']}: {recall:.4f}\n")
    assert recall >= 0.99
    assert (scores.diff(dim=1) <= 0).all()


def test_one_that_looks_at_all_gives_the_scores_and_the_order_of_exact_search(
    exact_index: GalleryIndex,
) -> None:
    scores, keys = exact_index.nearest(QUERIES, HITS)
    right_scores, right = top_k(QUERIES, GALLERY.image_vectors, HITS)
    assert torch.equal(scores, right_scores)
    for some, rows in zip(keys, right.tolist(), strict=True):
        assert names(exact_index, some) == [GALLERY.entries[row].id for row in rows]


def test_of_equal_pictures_the_first_by_name_comes_first(index: GalleryIndex) -> None:
    scores, keys = index.nearest(GALLERY.image_vectors[12:13], 2)
    assert scores[0, 0] == scores[0, 1]
    assert names(index, keys[0]) == [GALLERY.entries[12].id, GALLERY.entries[13].id]


def test_entries_and_vectors_come_back_as_they_were_and_in_the_order_asked(index: GalleryIndex) -> None:
    keys = index.nearest(QUERIES[:1], 5)[1][0].flip(0).tolist()
    entries = index.entries_at(keys)
    known = {entry.id: row for row, entry in enumerate(GALLERY.entries)}
    rows = [known[entry.id] for entry in entries]
    assert entries == [GALLERY.entries[row] for row in rows]
    assert torch.equal(index.vectors_at(keys), GALLERY.image_vectors[rows])
    assert index.entries_at([]) == [] and index.vectors_at([]).shape == (0, WIDTH)


def test_a_key_of_no_picture_is_refused(index: GalleryIndex) -> None:
    with pytest.raises(ArtifactError, match="no picture 123456789"):
        index.entries_at([123456789])


def test_no_hits_more_hits_than_pictures_and_no_queries(index: GalleryIndex) -> None:
    assert index.nearest(QUERIES[:2], 0)[0].shape == (2, 0)
    assert index.nearest(QUERIES[:0], 3)[1].shape == (0, 3)
    found = index.nearest(QUERIES[:1], ROWS + 5, index.where("size = 0 AND folder = 'a'"))
    assert found[0].shape[1] == index.count(index.where("size = 0 AND folder = 'a'")) > 0


@pytest.mark.parametrize(
    ("query", "k", "error", "words"),
    [
        (torch.zeros(1, WIDTH), 1, UsageError, "is zero"),
        (torch.full((1, WIDTH), float("nan")), 1, UsageError, "NaN"),
        (torch.ones(1, WIDTH), -1, UsageError, "k=-1"),
        (torch.ones(1, WIDTH + 1), 1, ArtifactError, f"{WIDTH + 1} wide, the gallery is {WIDTH} wide"),
    ],
)
def test_what_points_nowhere_or_has_another_width_is_refused(
    index: GalleryIndex, query: torch.Tensor, k: int, error: type, words: str
) -> None:
    with pytest.raises(error, match=words):
        index.nearest(query, k)


def test_a_condition_that_nothing_meets_lets_nothing_be_found(index: GalleryIndex) -> None:
    allowed = index.where("name = 'nowhere'")
    assert index.count(allowed) == 0
    assert index.nearest(QUERIES[:1], 3, allowed)[1].shape == (1, 0)


@pytest.mark.parametrize("condition", ["nmae = 'a'", "size > ", "size > 1; DROP TABLE pictures"])
def test_what_is_no_condition_is_refused_in_the_same_words(index: GalleryIndex, condition: str) -> None:
    with pytest.raises(UsageError, match="There are the columns: id, folder, name, size, date"):
        index.where(condition)


TEXTS = st.sampled_from(["a", "b", "a/0004 é%.jpg", "0013 é_.jpg", "it''s", 'say "x"', "back\\slash", ""])
PATTERNS = st.sampled_from(["%", "00_3%", "%é%", "a/%7%", "0004 é%.jpg", "%''%", ""])
NUMBERS = st.sampled_from([0, 1000, 7000, 25_000, 49_000, -3, 1e4])
TIMES = st.sampled_from(
    ["'2005-06-11'", "DATE '2010-01-01'", "TIMESTAMP '2019-02-11 12:00:01'", "'1970-01-05'"]
)
SIGN = st.sampled_from(["=", "<>", "!=", "<", "<=", ">", ">="])
TESTS = st.one_of(
    st.builds("{} {} '{}'".format, st.sampled_from(["id", "name", "FOLDER"]), SIGN, TEXTS),
    st.builds("size {} {}".format, SIGN, NUMBERS),
    st.builds("{1} {0} size".format, SIGN, NUMBERS),
    st.builds("date {} {}".format, SIGN, TIMES),
    st.builds("name {}LIKE '{}'".format, st.sampled_from(["", "NOT "]), PATTERNS),
    st.builds("size {}IN ({}, {})".format, st.sampled_from(["", "not "]), NUMBERS, NUMBERS),
    st.builds("folder IN ('{}')".format, TEXTS),
    st.builds("size {}BETWEEN {} AND {}".format, st.sampled_from(["", "NOT "]), NUMBERS, NUMBERS),
    st.builds("date BETWEEN {} AND {}".format, TIMES, TIMES),
)
CONDITIONS = st.recursive(
    TESTS,
    lambda inner: st.one_of(
        st.builds("NOT {}".format, inner),
        st.builds("({})".format, inner),
        st.builds("{} AND {}".format, inner, inner),
        st.builds("{} OR {}".format, inner, inner),
    ),
    max_leaves=6,
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(CONDITIONS)
def test_a_condition_holds_there_for_the_pictures_for_which_it_holds_here(
    opened: Callable[[str], GalleryIndex], condition: str
) -> None:
    mask = rows_where(COLUMNS(), condition)
    index = opened("milvus-server")
    allowed = index.where(condition)
    assert index.count(allowed) == int(mask.sum())
    found = index.nearest(QUERIES[:1], 7, allowed)
    right = LocalIndex(GALLERY).nearest(QUERIES[:1], 7, mask)
    assert names(index, found[1][0]) == [GALLERY.entries[row].id for row in right[1][0].tolist()]
