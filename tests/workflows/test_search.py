"""Search with a stub matcher: a picture is its colour, a sentence the colours it names: ranks can be read."""

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from torch.nn.functional import normalize

from mmx.core.errors import ArtifactError, DataError, ResourceError, UsageError
from mmx.core.home import Home
from mmx.core.record import Record
from mmx.core.reporter import SilentReporter
from mmx.engine.evaluator import Embeddings
from mmx.store.images import ImageError, load_image
from mmx.store.manifest import Manifest, write_manifest
from mmx.workflows.galleries import folder_gallery, index_folder, split_gallery
from mmx.workflows.search import SearchResult, SearchSettings, check, search, search_with

COLOURS = ("red", "green", "blue", "white")


class StubMatcher:
    """Four colours, one axis each; a sentence that names none of them points equally to all."""

    name, fingerprint, opened = "stub", "stub-1", None

    def __init__(self) -> None:
        self.encoded: list[str] = []

    def encode_texts(self, captions: Sequence[str]) -> torch.Tensor:
        named = torch.tensor(
            [[float(colour in caption.split()) for colour in COLOURS] for caption in captions]
        )
        return normalize(torch.where(named.any(dim=1, keepdim=True), named, torch.ones_like(named)), dim=1)

    def encode_images(
        self, paths: Sequence[Path], reporter: object
    ) -> tuple[torch.Tensor, list[tuple[int, str]]]:
        vectors, failures = [], []
        for place, path in enumerate(paths):
            self.encoded.append(path.name)
            try:
                colour = load_image(path).getpixel((0, 0))
            except ImageError as error:
                failures.append((place, str(error)))
                continue
            names = [Image.new("RGB", (1, 1), name).getpixel((0, 0)) for name in COLOURS]
            vectors.append(torch.eye(4)[names.index(colour)])
        return (torch.stack(vectors) if vectors else torch.empty(0, 0)), failures


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
    assert result.as_document()["query"] == {"image": str(photos / "d.png")}


def test_words_that_nobody_knows_still_have_an_answer(home: Home, photos: Path) -> None:
    assert len(look(home, query="zzyzx qwrt", folder=photos).hits) == 4


@pytest.mark.parametrize(("top", "hits"), [(0, 0), (2, 2), (99, 4)])
def test_top_is_at_most_what_there_is(home: Home, photos: Path, top: int, hits: int) -> None:
    assert len(look(home, query="red", folder=photos, top=top).hits) == hits


def test_a_folder_is_encoded_once_and_refreshed_when_it_changes(home: Home, photos: Path) -> None:
    """Three pictures are encoded for four photos: a.png and sub/c.png are one content."""
    first, second, third = StubMatcher(), StubMatcher(), StubMatcher()
    folder_gallery(first, photos, home, SilentReporter())
    folder_gallery(second, photos, home, SilentReporter())
    Image.new("RGB", (4, 4), "white").save(photos / "new.png")
    (photos / "a.png").unlink()
    listener = Listener()

    refreshed = folder_gallery(third, photos, home, listener)

    assert (len(first.encoded), second.encoded, third.encoded) == (3, [], ["new.png"])
    assert "1 new or changed, 3 kept, 1 removed" in listener.infos[0]
    rebuilt = folder_gallery(StubMatcher(), photos, home, SilentReporter(), rebuild=True)
    assert refreshed.entries == rebuilt.entries
    assert torch.equal(refreshed.image_vectors, rebuilt.image_vectors)


def test_another_matcher_has_a_gallery_of_its_own(home: Home, photos: Path) -> None:
    other = StubMatcher()
    other.fingerprint = "stub-2"
    folder_gallery(StubMatcher(), photos, home, SilentReporter())
    folder_gallery(other, photos, home, SilentReporter())
    assert len(other.encoded) == 3


def test_a_broken_index_is_made_again_with_a_remark(home: Home, photos: Path) -> None:
    folder_gallery(StubMatcher(), photos, home, SilentReporter())
    path = index_folder(home, photos, "stub-1") / "gallery.safetensors"
    path.write_bytes(b"not a gallery")
    listener = Listener()

    gallery = folder_gallery(StubMatcher(), photos, home, listener)

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
    for folder, words in ((tmp_path / "none", "holds no pictures"), (tmp_path / "absent", "is not a folder")):
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
        ({"query": "red", "image": Path("a.png")}, "two queries"),
        ({"query": "red", "run": Path("r"), "model": "m"}, "two ways"),
        ({"query": "red", "folder": Path("p"), "captions": True}, "--captions needs a dataset"),
        ({"query": "red", "folder": Path("p"), "split": "val"}, "--split needs a dataset"),
        ({"query": "red", "folder": Path("p"), "dataset": "toy"}, "--dataset needs a dataset"),
        ({"query": "red", "model": "m"}, "has no dataset of its own"),
        ({"query": "red", "top": -1}, "--top -1"),
        ({"query": "red", "sheet": Path("sheet.txt")}, "sheet.txt"),
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
    document = json.loads(json.dumps(look(home, query="red", folder=photos, top=1).as_document()))
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
