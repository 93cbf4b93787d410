"""A search that stays open: queries and pictures of others are answered, and no file of theirs is named."""

import dataclasses
import io
import re
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmx.core.errors import ArtifactError, DataError, UsageError
from mmx.core.paths import expanded
from mmx.core.reporter import Reporter
from mmx.search.gallery_index import GalleryIndex
from mmx.search.photos import check_folder
from mmx.search.query import parse_query
from mmx.store.entries import Entry
from mmx.store.image_paths import IMAGE_SUFFIXES
from mmx.store.images import ImageError, check_pixels, load_image
from mmx.workflows.evidence_files import Pair
from mmx.workflows.explain import check_explains, explain_pairs
from mmx.workflows.gallery_place import GALLERY, index_folder, photo_folder
from mmx.workflows.matcher import Matcher
from mmx.workflows.search import ask
from mmx.workflows.search_result import SearchResult
from mmx.workflows.search_settings import NEARLY_SAME, SearchSettings, check, shown
from mmx.workflows.searchable import encode_query, open_searchables
from mmx.workflows.searcher import open_searcher

MOST_PIXELS = 50_000_000
"""Of a picture that is sent."""
LONGEST_TEXT, MOST_HITS = 1000, 200
SIZES = (480, 1600)
"""Longest sides of the pictures that are shown."""
QUALITY = 85
KEYS = 2**63
"""Keys of pictures are below it."""


@dataclass(frozen=True)
class Question:
    """What somebody asks."""

    query: str = ""
    picture: bytes | None = None
    """A file of one, added to the query."""
    top: int = 24
    where: str = ""
    min_score: str = ""
    collapse: bool = False


class Service:
    """A matcher with its galleries; a gallery that another process brings up to date is opened again."""

    def __init__(self, settings: SearchSettings, reporter: Reporter) -> None:
        """Open everything.

        Raises:
            UsageError, DataError, ArtifactError: as a search does.
        """
        if settings.folder is not None and settings.refresh:
            check_folder(expanded(settings.folder))
        self._settings, self._reporter = settings, reporter
        self._lock = threading.Lock()
        self.matcher: Matcher = open_searcher(settings, reporter)
        self._indexes: list[GalleryIndex] = open_searchables(self.matcher, settings, reporter)
        self._seen = self._state_on_disk()
        # What is slow the first time is done before anyone waits for it.
        self.matcher.encode_texts(["a photo"])

    @property
    def about(self) -> dict[str, Any]:
        """What is searched, and with what."""
        return {
            "matcher": self.matcher.name,
            "searched": [self._said(one.source) for one in self._indexes],
            "pictures": sum(map(len, self._indexes)),
            "explains": self._explains(),
            "folder": self._settings.folder is not None,
        }

    def search(self, question: Question) -> dict[str, Any]:
        """The document of a search, its hits with a `key` each instead of paths of this machine.

        Raises:
            UsageError: when the question cannot be asked.
            DataError: when the picture cannot be read.
        """
        with self._lock, tempfile.TemporaryDirectory() as place:
            self._reopen()
            settings = self._asked(question, Path(place))
            query = encode_query(self.matcher, settings)
            result = ask(self.matcher, self._indexes, settings, self._reporter, query)
            return self._document(result, question)

    def picture(self, key: str, size: int) -> bytes:
        """A picture of a gallery as JPEG, no longer than `size`; nothing but its pixels is in it.

        Raises:
            UsageError: when there is no such key or size.
            DataError: when the picture cannot be read.
        """
        if size not in SIZES:
            raise UsageError(f"there is no size {size}. There are: {', '.join(map(str, SIZES))}")
        path = Path(self._entry(key).path)
        try:
            image = load_image(path, (size, size))
        except ImageError as error:
            raise DataError(f"the picture '{shown(path.name)}' cannot be read: {error}.") from error
        image.thumbnail((size, size))
        held = io.BytesIO()
        image.save(held, "JPEG", quality=QUALITY)
        return held.getvalue()

    def evidence(self, query: str, key: str) -> str:
        """A page that shows which word of a sentence met which region of a picture.

        Raises:
            UsageError: when the run does not explain its scores, or the query is no sentence.
            DataError: when the picture cannot be read.
        """
        with self._lock, tempfile.TemporaryDirectory() as place:
            check_explains(self.matcher)
            settings = self._asked(Question(query), Path(place))
            if settings.asked_with != "text":
                raise UsageError(
                    "evidence shows the words of one sentence on a picture. Ask with a sentence."
                )
            entry, sentence = self._entry(key), settings.terms[0].text
            index, number = self._place(key)
            score = float(self.matcher.encode_texts([sentence])[0] @ index.vectors_at([number])[0])
            about = (shown(Path(entry.path).name), shown(entry.id), sentence, self._said(index.source))
            pair = Pair(1, score, Path(entry.path), *about)
            made = explain_pairs(self.matcher, [pair], Path(place) / "evidence", sentence, self._reporter)
            return made.page.read_text(encoding="utf-8")

    def refresh(self) -> dict[str, Any]:
        """Look for new and changed photos in the folder; what is searched then."""
        with self._lock:
            self._indexes = open_searchables(self.matcher, self._settings, self._reporter)
            self._seen = self._state_on_disk()
        return self.about

    def _asked(self, question: Question, place: Path) -> SearchSettings:
        for text in (question.query, question.where, question.min_score):
            if len(text) > LONGEST_TEXT:
                raise UsageError(f"'{text[:20]}...' has more than {LONGEST_TEXT:,} letters. Say it shorter.")
        if not 0 <= question.top <= MOST_HITS:
            raise UsageError(f"{question.top} hits are not possible. Ask for 0 to {MOST_HITS}.")
        if question.query.strip():
            terms = parse_query(question.query, IMAGE_SUFFIXES)
            if any(term.picture is not None for term in terms):
                raise UsageError(
                    "no file is opened by its name here. Send the picture itself; a sentence that looks "
                    "like a path is put in double quotes."
                )
        settings = dataclasses.replace(
            self._settings,
            query=question.query.strip() or None,
            image=None if question.picture is None else _kept(question.picture, place),
            top=question.top,
            where=question.where.strip() or None,
            min_score=question.min_score.strip() or None,
            collapse=NEARLY_SAME if question.collapse else None,
            refresh=True,
        )
        check(settings)
        return settings

    def _document(self, result: SearchResult, question: Question) -> dict[str, Any]:
        kept = ("schema", "finds", "matcher", "size", "rerank", "min_score")
        document, hits = result.document(), []
        for hit in result.hits:
            about = hit.document()
            del about["path"]
            about["source"] = self._said(hit.source)
            if "duplicates" in about:
                about["duplicates"] = len(about["duplicates"])
            hits.append({**about, "key": "-".join(map(str, hit.at))})
        return {
            **{name: document[name] for name in kept if name in document},
            "query": question.query,
            "with_picture": question.picture is not None,
            "hits": hits,
        }

    def _said(self, source: str) -> str:
        """Where pictures are from: of a folder its name alone, and not where on this machine it lies."""
        return shown(Path(source).name if self._settings.of_photos else source)

    def _entry(self, key: str) -> Entry:
        index, number = self._place(key)
        try:
            return index.entries_at([number])[0]
        except ArtifactError as error:
            raise UsageError(f"there is no picture '{key}'. Search again.") from error

    def _place(self, key: str) -> tuple[GalleryIndex, int]:
        """What a key stands for: which index, and which picture of it."""
        found = re.fullmatch(r"(\d{1,3})-(\d{1,19})", key)
        place, number = map(int, found.groups()) if found else (-1, -1)
        if not 0 <= place < len(self._indexes) or number >= KEYS:
            raise UsageError(f"there is no picture '{shown(key[:40])}'. Search again.")
        return self._indexes[place], number

    def _explains(self) -> bool:
        try:
            check_explains(self.matcher)
        except UsageError:
            return False
        return True

    def _state_on_disk(self) -> tuple[int, int] | None:
        """What changes when another process writes the index of the folder."""
        if self._settings.folder is None:
            return None
        folder = photo_folder(self._settings.folder)
        path = index_folder(self._settings.home, folder, self.matcher.fingerprint) / GALLERY
        try:
            status = path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino

    def _reopen(self) -> None:
        """Follow an index that another process has brought up to date."""
        now = self._state_on_disk()
        if now is not None and now != self._seen:
            settings = dataclasses.replace(self._settings, refresh=False)
            self._indexes, self._seen = open_searchables(self.matcher, settings, self._reporter), now


def _kept(picture: bytes, place: Path) -> Path:
    """A picture that was sent, in a file for as long as it is looked at."""
    path = place / "picture"
    path.write_bytes(picture)
    try:
        check_pixels(path, MOST_PIXELS)
    except ImageError as error:
        raise DataError(f"the picture that was sent cannot be read: {error}.") from error
    return path
