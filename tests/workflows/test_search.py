"""Search with a stub matcher: a picture is its colour, a sentence the colours it names: ranks can be read."""

import functools
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from mmx.core.errors import ArtifactError, DataError, ResourceError, UsageError
from mmx.core.home import Home
from mmx.core.record import Record
from mmx.core.reporter import SilentReporter
from mmx.engine.evaluator import Embeddings
from mmx.store.manifest import Manifest, write_manifest
from mmx.workflows.galleries import folder_index, split_gallery
from mmx.workflows.gallery_place import index_folder
from mmx.workflows.search import ask, search
from mmx.workflows.search_result import SearchResult, document_of
from mmx.workflows.search_settings import SearchSettings, check
from mmx.workflows.searchable import encode_query, open_searchables
from tests.workflows.stub_matcher import StubMatcher, search_with


class Listener(SilentReporter):
    def __init__(self) -> None:
        self.infos: list[str] = []
        self.warnings: list[str] = []

    def info(self, text: str) -> None:
        self.infos.append(text)

    def warn(self, text: str) -> None:
        self.warnings.append(text)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    for name, colour in (("a", "red"), ("b", "green"), ("sub/c", "red"), ("d", "blue")):
        Image.new("RGB", (40, 30), colour).save(folder / f"{name}.png")
    return folder


@pytest.fixture
def corpus(home: Home, photos: Path) -> Manifest:
    def record(split: str, name: str, *captions: str) -> Record:
        return Record(id=name, split=split, image=name, captions=captions)

    records = {
        "train": [record("train", "a.png", "a red one", "all red"), record("train", "b.png", "a green one")],
        "val": [record("val", "d.png", "a blue one", "red and blue")],
    }
    return write_manifest(home.dataset("colours"), "colours", photos, records)


def look(home: Home, **words: object) -> SearchResult:
    return search_with(StubMatcher(), SearchSettings(home=home, **words), SilentReporter())


def test_the_photos_a_sentence_names_come_first_in_the_order_of_their_names(home: Home, photos: Path) -> None:
    result = look(home, query="a red cycle", folder=photos, top=3)
    assert [(hit.rank, hit.score, hit.id) for hit in result.hits] == [
        (1, 1.0, "a.png"), (2, 1.0, "sub/c.png"), (3, 0.0, "b.png"),
    ]  # fmt: skip
    assert result.hits[1].path == str(photos / "sub" / "c.png")
    assert (result.size, result.finds, result.searched) == (4, "images", (str(photos),))


def test_a_picture_finds_pictures_like_it(home: Home, photos: Path) -> None:
    result = look(home, image=photos / "d.png", folder=photos, top=1)
    assert [hit.id for hit in result.hits] == ["d.png"]
    assert result.document()["query"] == {"image": str(photos / "d.png")}


def test_words_that_nobody_knows_still_have_an_answer(home: Home, photos: Path) -> None:
    assert len(look(home, query="zzyzx qwrt", folder=photos).hits) == 4


@pytest.mark.parametrize(("top", "hits"), [(0, 0), (2, 2), (99, 4)])
def test_top_is_at_most_what_there_is(home: Home, photos: Path, top: int, hits: int) -> None:
    assert len(look(home, query="red", folder=photos, top=top).hits) == hits


def test_a_folder_is_encoded_once_and_refreshed_when_it_changes(home: Home, photos: Path) -> None:
    """Three pictures are encoded for four photos: a.png and sub/c.png are one content."""
    first, second, third = StubMatcher(), StubMatcher(), StubMatcher()
    folder_index(first, photos, home, SilentReporter())
    folder_index(second, photos, home, SilentReporter())
    Image.new("RGB", (4, 4), "white").save(photos / "new.png")
    (photos / "a.png").unlink()
    listener = Listener()

    refreshed = folder_index(third, photos, home, listener).gallery

    assert (len(first.encoded), second.encoded, third.encoded) == (3, [], ["new.png"])
    assert "1 new or changed, 3 kept, 1 removed" in listener.infos[0]
    rebuilt = folder_index(StubMatcher(), photos, home, SilentReporter(), rebuild=True).gallery
    assert refreshed.entries == rebuilt.entries
    assert torch.equal(refreshed.image_vectors, rebuilt.image_vectors)


def test_another_matcher_has_a_gallery_of_its_own(home: Home, photos: Path) -> None:
    other = StubMatcher()
    other.fingerprint = "stub-2"
    folder_index(StubMatcher(), photos, home, SilentReporter())
    folder_index(other, photos, home, SilentReporter())
    assert len(other.encoded) == 3


def test_a_broken_index_is_made_again_with_a_remark(home: Home, photos: Path) -> None:
    folder_index(StubMatcher(), photos, home, SilentReporter())
    path = index_folder(home, photos, "stub-1") / "gallery.safetensors"
    path.write_bytes(b"not a gallery")
    listener = Listener()

    gallery = folder_index(StubMatcher(), photos, home, listener).gallery

    assert len(gallery.entries) == 4
    assert str(path) in listener.infos[0]
    assert "made again" in listener.infos[0]


def test_unreadable_photos_are_counted_and_named_and_never_fatal(home: Home, photos: Path) -> None:
    (photos / "text.jpg").write_text("no picture")
    (photos / "empty.png").touch()
    (photos / "out.png").symlink_to(Path(__file__))
    listener = Listener()

    result = search_with(StubMatcher(), SearchSettings(query="red", folder=photos, home=home), listener)

    assert result.size == 4
    assert {Path(path).name for path, _ in result.unreadable} == {"text.jpg", "empty.png"}
    assert "2 of 6 pictures" in listener.warnings[0]
    assert "'empty.png' (empty file)" in listener.warnings[0]
    assert "'out.png'" in listener.warnings[1]


def test_folders_without_a_usable_picture_are_bad_data(home: Home, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    for folder, words in ((tmp_path / "none", "holds no pictures"), (tmp_path / "absent", "does not exist")):
        with pytest.raises(DataError, match=words):
            look(home, query="red", folder=folder)
    (tmp_path / "none" / "bad.jpg").touch()
    with pytest.raises(DataError, match="none of the 1 pictures"):
        look(home, query="red", folder=tmp_path / "none")


def test_a_query_picture_that_cannot_be_read_is_named(home: Home, photos: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.jpg' cannot be read: missing"):
        look(home, image=Path("nowhere.jpg"), folder=photos)


def test_a_query_without_direction_is_named(home: Home, photos: Path) -> None:
    matcher = StubMatcher()
    matcher.encode_texts = lambda captions: torch.zeros(1, 4)
    with pytest.raises(UsageError, match="'red' is zero"):
        search_with(matcher, SearchSettings(query="red", folder=photos, home=home), SilentReporter())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({}, "nothing to look for"),
        ({"query": " \t"}, "nothing to look for"),
        ({"query": "red", "run": Path("r"), "model": "m"}, "two ways"),
        ({"query": "red", "folder": Path("p"), "captions": True}, "--captions needs a dataset"),
        ({"query": "red", "folder": Path("p"), "split": "val"}, "--split needs a dataset"),
        ({"query": "red", "folder": Path("p"), "dataset": "toy"}, "--dataset needs a dataset"),
        ({"query": "red", "model": "m"}, "has no dataset of its own"),
        ({"query": "red", "top": -1}, "--top -1"),
        ({"query": "red", "sheet": Path("sheet.txt")}, "sheet.txt"),
        ({"query": "red", "page": Path("page.png")}, "page.png' is no name for a page"),
        ({"query": "red -"}, "empty"),
        ({"query": "red + http://a/b.png"}, "fetches nothing"),
        ({"query": "red", "where": " "}, "is no condition"),
        ({"query": "red", "where": "size > 1", "table": Path("t.csv")}, "Give both --in DIR and --where"),
        ({"query": "red", "min_score": "high"}, "neither a cosine"),
        ({"query": "red", "min_score": "1.5"}, "neither a cosine"),
        ({"query": "red", "min_score": "100%"}, "1% to 99%"),
        ({"query": "red - blue", "min_score": "50%"}, "sentences alone"),
        ({"query": "red", "min_score": "50%", "captions": True}, "of pictures"),
        ({"query": "red", "collapse": 1.5}, "no cosine of like pictures"),
        ({"query": "red", "collapse": 0.9, "captions": True}, "beside --captions"),
        ({"query": "red", "refresh": False}, "of an index of photos"),
        ({"query": "red", "folder": Path("p"), "refresh": False, "rebuild": True}, "contradict"),
        ({"query": "red - blue", "rerank_top": 5}, "looks again at pictures beside a sentence"),
        ({"query": "./a.png", "explain": 1}, "words of a sentence"),
    ],
)
def test_words_that_do_not_fit_together_are_refused(words: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check(SearchSettings(**words))


def test_a_sheet_that_cannot_be_written_is_found_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ResourceError):
        check(SearchSettings(query="red", sheet=tmp_path / "file" / "sheet.png"))


def test_with_no_run_both_ways_on_are_said(home: Home) -> None:
    with pytest.raises(ArtifactError) as caught:
        search(SearchSettings(query="red", home=home), SilentReporter())
    for words in ("mmx train", "--model hub:openai/clip-vit-base-patch32", "--model file:PATH"):
        assert words in str(caught.value)


def test_the_sheet_shows_the_hits(home: Home, photos: Path, tmp_path: Path) -> None:
    look(home, query="red", folder=photos, top=2, sheet=tmp_path / "red.png")
    look(home, query="blue", folder=photos, top=2, sheet=tmp_path / "new" / "blue.jpg")
    with Image.open(tmp_path / "red.png") as red, Image.open(tmp_path / "new" / "blue.jpg") as blue:
        assert red.size == blue.size
        assert red.getpixel((red.width // 4, 300)) == (255, 0, 0)
        assert blue.convert("RGB").getpixel((blue.width // 4, 300))[2] > 200


def test_the_document_has_the_documented_keys(home: Home, photos: Path) -> None:
    document = json.loads(json.dumps(look(home, query="red", folder=photos, top=1).document()))
    assert document == {
        "schema": "mmx.search/1",
        "query": {"text": "red"},
        "finds": "images",
        "matcher": "stub",
        "searched": [str(photos)],
        "size": 4,
        "hits": [
            {
                "rank": 1,
                "score": 1.0,
                "id": "a.png",
                "path": str(photos / "a.png"),
                "caption": "",
                "source": str(photos),
            }
        ],
        "unreadable": [],
        "sheet": None,
    }


def embeddings(corpus: Manifest, split: str) -> Embeddings:
    matcher = StubMatcher()
    records = corpus.split(split)
    image, _ = matcher.encode_images([corpus.image_path(record) for record in records], SilentReporter())
    text = matcher.encode_texts([caption for record in records for caption in record.captions])
    rows = torch.arange(len(records))
    return Embeddings(image, text, rows, torch.zeros(len(text), dtype=torch.int64), rows)


def test_a_split_is_encoded_once_and_again_when_the_run_changes(corpus: Manifest, tmp_path: Path) -> None:
    calls: list[str] = []

    def embed(split: str) -> Embeddings:
        calls.append(split)
        return embeddings(corpus, split)

    listener = Listener()
    for fingerprint in ("f1", "f1", "f2"):
        gallery = split_gallery(tmp_path / "g", corpus, "train", fingerprint, embed, listener)
        assert [entry.id for entry in gallery.entries] == ["a.png", "b.png"]
        assert [caption for _, caption in gallery.captions] == ["a red one", "all red", "a green one"]
    assert calls == ["train", "train"]
    assert "'f1/" in listener.infos[0]
    with pytest.raises(UsageError, match="train, val"):
        split_gallery(tmp_path / "g", corpus, "test", "f1", embed, listener)


def test_hits_lie_where_the_pictures_are_now(corpus: Manifest, tmp_path: Path, home: Home) -> None:
    """Prepared again from a folder that was moved, a corpus keeps its fingerprint."""

    def gallery_of(manifest: Manifest):
        embed = functools.partial(embeddings, corpus)
        return split_gallery(tmp_path / "g", manifest, "train", "f1", embed, SilentReporter())

    assert gallery_of(corpus).entries[0].path == str(tmp_path / "photos" / "a.png")
    records = {split: corpus.split(split) for split in corpus.splits}
    (tmp_path / "photos").rename(tmp_path / "moved")
    moved = write_manifest(home.dataset("colours"), "colours", tmp_path / "moved", records)

    assert moved.fingerprint == corpus.fingerprint
    assert gallery_of(moved).entries[0].path == str(tmp_path / "moved" / "a.png")


@pytest.fixture
def own(corpus: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StubMatcher:
    """A matcher whose run has kept the galleries of its own corpus."""
    matcher = StubMatcher()
    folder = SimpleNamespace(path=tmp_path / "run")
    assembly = SimpleNamespace(manifest=corpus)
    method = SimpleNamespace(tasks=())
    matcher.opened = SimpleNamespace(folder=folder, dataset=corpus.name, assembly=assembly, method=method)
    for split in corpus.splits:
        split_gallery(
            folder.path / "gallery",
            corpus,
            split,
            "stub-1",
            lambda split: embeddings(corpus, split),
            SilentReporter(),
        )
    return matcher


def test_a_run_searches_all_splits_of_its_own_corpus(own: StubMatcher, home: Home) -> None:
    result = search_with(own, SearchSettings(query="blue", home=home), SilentReporter())
    assert [(hit.id, hit.caption, hit.source) for hit in result.hits] == [
        ("d.png", "a blue one", "colours val"),
        ("a.png", "a red one", "colours train"),
        ("b.png", "a green one", "colours train"),
    ]
    limited = search_with(own, SearchSettings(query="blue", split="train", home=home), SilentReporter())
    assert [hit.id for hit in limited.hits] == ["a.png", "b.png"]


def test_captions_are_found_by_words_and_by_pictures(own: StubMatcher, home: Home, photos: Path) -> None:
    by_words = search_with(
        own, SearchSettings(query="red", captions=True, home=home, top=3), SilentReporter()
    )
    assert [(hit.caption, hit.id) for hit in by_words.hits] == [
        ("a red one", "a.png"), ("all red", "a.png"), ("red and blue", "d.png"),
    ]  # fmt: skip
    assert (by_words.size, by_words.finds) == (5, "captions")
    by_picture = SearchSettings(image=photos / "d.png", captions=True, home=home, top=1)
    assert search_with(own, by_picture, SilentReporter()).hits[0].caption == "a blue one"


def test_a_picture_removed_since_is_an_empty_frame_on_the_sheet(
    own: StubMatcher, home: Home, photos: Path, tmp_path: Path
) -> None:
    (photos / "d.png").unlink()
    settings = SearchSettings(query="blue", home=home, sheet=tmp_path / "s.png")
    assert search_with(own, settings, SilentReporter()).hits[0].id == "d.png"
    assert (tmp_path / "s.png").is_file()


def test_a_sum_is_between_its_terms_and_away_from_what_is_subtracted(home: Home, photos: Path) -> None:
    """red + blue is equally near to both; of red + blue - red only blue is left."""
    both = look(home, query="red + blue", folder=photos, top=4)
    assert [(hit.id, round(hit.score, 3)) for hit in both.hits] == [
        ("a.png", 0.707), ("d.png", 0.707), ("sub/c.png", 0.707), ("b.png", 0.0),
    ]  # fmt: skip
    less = look(home, query=f"red + {photos / 'd.png'} - red", folder=photos, top=1)
    assert [hit.id for hit in less.hits] == ["d.png"]
    assert less.document()["query"] == {"sum": f"red + {photos / 'd.png'} - red"}


def test_a_picture_and_words_are_a_sum(home: Home, photos: Path) -> None:
    result = look(home, image=photos / "d.png", query="- green", folder=photos, top=1)
    assert result.document()["query"] == {"sum": f"{photos / 'd.png'} - green"}
    assert round(result.hits[0].score, 3) == 0.707


def test_a_picture_of_a_sum_that_cannot_be_read_is_named(home: Home, photos: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.jpg' cannot be read: missing"):
        look(home, query="red + ./nowhere.jpg", folder=photos)


def test_a_condition_lets_through_only_some(home: Home, photos: Path) -> None:
    result = look(home, query="red", folder=photos, where="folder = '' AND name <> 'a.png'")
    assert ([hit.id for hit in result.hits], result.size) == (["b.png", "d.png"], 2)
    assert look(home, query="red", folder=photos, where="size > 1e9").hits == ()
    with pytest.raises(UsageError, match="columns: id, folder, name, size, date"):
        look(home, query="red", folder=photos, where="split = 'val'")


def test_a_table_of_ones_own_gives_photos_columns(home: Home, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("image,album,stars,size\na.png,sea,5,x\nsub/c.png,sea,2,y\n")
    result = look(
        home, query="red", folder=photos, table=tmp_path / "mine.csv", where="album = 'sea' AND stars > 3"
    )
    assert [hit.id for hit in result.hits] == ["a.png"]
    for text, error, words in (
        ("album\nsea\n", DataError, "no column that names pictures"),
        ("image,album\nz.png,sea\n", UsageError, "names no picture"),
    ):
        (tmp_path / "mine.csv").write_text(text)
        with pytest.raises(error, match=words):
            look(home, query="red", folder=photos, table=tmp_path / "mine.csv", where="true")


def test_nothing_below_the_least_cosine_is_shown(home: Home, photos: Path) -> None:
    result = look(home, query="red and blue", folder=photos, min_score="0.7")
    assert [hit.id for hit in result.hits] == ["a.png", "d.png", "sub/c.png"]
    assert result.document()["min_score"] == 0.7


def test_a_pretrained_pair_has_no_calibrated_cut_off(home: Home, photos: Path) -> None:
    with pytest.raises(UsageError, match="'stub' was trained elsewhere"):
        look(home, query="red", folder=photos, min_score="50%")


def test_like_pictures_are_shown_as_one_and_others_come_up(home: Home, photos: Path) -> None:
    result = look(home, query="red", folder=photos, top=2, collapse=0.98)
    assert [(hit.rank, hit.id, hit.duplicates) for hit in result.hits] == [
        (1, "a.png", (str(photos / "sub" / "c.png"),)), (2, "b.png", ()),
    ]  # fmt: skip


def test_many_like_pictures_do_not_hide_what_is_behind_them(home: Home, photos: Path) -> None:
    for number in range(30):
        Image.new("RGB", (40, 30 + number), "red").save(photos / f"r{number:02d}.png")
    result = look(home, query="red", folder=photos, top=3, collapse=0.98)
    assert [hit.id for hit in result.hits] == ["a.png", "b.png", "d.png"]
    assert len(result.hits[0].duplicates) == 31


def test_without_a_refresh_the_index_is_searched_as_it_is(home: Home, photos: Path) -> None:
    with pytest.raises(ArtifactError, match="has no index by 'stub'"):
        look(home, query="red", folder=photos, refresh=False)
    look(home, query="red", folder=photos)
    (photos / "a.png").unlink()
    assert look(home, query="red", folder=photos, refresh=False).hits[0].id == "a.png"
    assert look(home, query="red", folder=photos).hits[0].id == "sub/c.png"


def test_several_queries_have_an_answer_each_from_galleries_opened_once(home: Home, photos: Path) -> None:
    matcher, quiet = StubMatcher(), SilentReporter()
    asked = [SearchSettings(query=word, folder=photos, top=1, home=home) for word in ("blue", "green")]
    searchables = open_searchables(matcher, asked[0], quiet)
    results = [ask(matcher, searchables, one, quiet, encode_query(matcher, one)) for one in asked]
    document = document_of(results)
    assert document["schema"] == "mmx.searches/1"
    assert [answer["hits"][0]["id"] for answer in document["answers"]] == ["d.png", "b.png"]


def test_the_page_holds_its_pictures_and_nothing_that_runs(home: Home, photos: Path, tmp_path: Path) -> None:
    (photos / "<b>&.png").write_bytes((photos / "d.png").read_bytes())
    look(home, query="blue", folder=photos, top=2, page=tmp_path / "blue.html")
    page = (tmp_path / "blue.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 2
    assert "<script" not in page and "<b>&.png" not in page and "&lt;b&gt;&amp;.png" in page


def test_a_split_has_columns_of_its_own(own: StubMatcher, home: Home) -> None:
    def ids(where: str, **words: object) -> list[str]:
        settings = SearchSettings(query="blue", where=where, home=home, **words)
        return [hit.id for hit in search_with(own, settings, SilentReporter()).hits]

    assert ids("split = 'train'") == ["a.png", "b.png"]
    assert ids("list_contains(captions, 'all red')") == ["a.png"]
    assert ids("label IS NULL AND size > 0 AND folder = ''") == ["d.png", "a.png", "b.png"]
    assert ids("split = 'train'", captions=True) == ["a.png", "a.png", "b.png"]
