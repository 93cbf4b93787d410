"""Search: the pictures or captions nearest to a sentence or a picture, in a corpus or a folder."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from mmx.core.device import find_device
from mmx.core.errors import ArtifactError, DataError, UsageError
from mmx.core.home import Home
from mmx.core.reporter import Reporter, SilentReporter
from mmx.engine.evaluator import Embeddings
from mmx.reports.contact_sheet import MAX_CELLS, PHOTO, Cell, draw_sheet
from mmx.search.exact import top_k
from mmx.store.atomic import atomic_file, check_writable
from mmx.store.images import ImageError, load_image
from mmx.store.index import Entry, Gallery
from mmx.store.manifest import Manifest
from mmx.store.run import find_run, newest_run
from mmx.workflows.embedded import embed_model, embed_run
from mmx.workflows.galleries import folder_gallery, index_folder, split_gallery
from mmx.workflows.matcher import Matcher, open_matcher

BATCH = 256
WHERE_TO_SEARCH = "Name a folder of photos (--in DIR) or a prepared dataset (--dataset NAME)."
SHEET_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


@dataclass(frozen=True)
class SearchSettings:
    """What to look for (a sentence or a picture), with what, and where."""

    query: str | None = None
    image: Path | None = None
    captions: bool = False
    """Find captions instead of pictures."""
    run: Path | None = None
    model: str | None = None
    folder: Path | None = None
    """A folder of photos."""
    dataset: str | None = None
    """A prepared corpus; with neither, the run's own."""
    split: str | None = None
    """One split of the corpus; else all of them."""
    top: int = 9
    sheet: Path | None = None
    """Where the contact sheet is written, if anywhere."""
    rebuild: bool = False
    home: Home = field(default_factory=Home.find)
    device: str = "auto"


@dataclass(frozen=True)
class Hit:
    """One find: a picture with its first caption, or a caption with its picture."""

    rank: int
    score: float
    id: str
    path: str
    caption: str
    source: str


@dataclass(frozen=True)
class SearchResult:
    """The hits, best first, and where they were looked for."""

    query: str
    asked_with: str
    """`text` or `image`."""
    finds: str
    """`images` or `captions`."""
    matcher: str
    searched: tuple[str, ...]
    """Each gallery's folder, or corpus and split."""
    size: int
    """Pictures or captions looked through."""
    hits: tuple[Hit, ...]
    unreadable: tuple[tuple[str, str], ...]
    """(path, reason) of pictures that could not be searched."""
    sheet: Path | None

    def as_document(self) -> dict[str, Any]:
        """What --json shows; documented in README."""
        return {
            "schema": "mmx.search/1",
            "query": {self.asked_with: self.query},
            "finds": self.finds,
            "matcher": self.matcher,
            "searched": list(self.searched),
            "size": self.size,
            "hits": [vars(hit) for hit in self.hits],
            "unreadable": [{"path": path, "reason": reason} for path, reason in self.unreadable],
            "sheet": None if self.sheet is None else str(self.sheet),
        }


def search(settings: SearchSettings, reporter: Reporter) -> SearchResult:
    """Find what is nearest to the query.

    Raises:
        UsageError: when the words do not fit together.
        DataError: when the query's picture or the folder cannot be read.
        ArtifactError: when there is nothing to search with.
        ResourceError: when the index or the sheet cannot be written.
    """
    check(settings)
    run = settings.run
    if run is not None:
        run = find_run(run, settings.home.runs).path
    elif settings.model is None:
        run = _newest(settings)
    matcher = open_matcher(run, settings.model, settings.home, settings.device)
    return search_with(matcher, settings, reporter)


def search_with(matcher: Matcher, settings: SearchSettings, reporter: Reporter) -> SearchResult:
    """The same, with a matcher that is open already."""
    check(settings)
    query = encode_query(matcher, settings)
    galleries = _galleries(matcher, settings, reporter)
    finds = "captions" if settings.captions else "images"
    found = _nearest(query, galleries, settings)
    hits = tuple(
        Hit(rank, score, _shown(entry.id), _shown(entry.path), caption, _shown(source))
        for rank, (score, entry, caption, source) in enumerate(found, start=1)
    )
    result = SearchResult(
        query=_query_name(settings),
        asked_with="text" if settings.image is None else "image",
        finds=finds,
        matcher=matcher.name,
        searched=tuple(_shown(gallery.source) for gallery in galleries),
        size=sum(len(_vectors(gallery, settings)) for gallery in galleries),
        hits=hits,
        unreadable=tuple(
            (_shown(bad.path), bad.reason) for gallery in galleries for bad in gallery.unreadable
        ),
        sheet=None if settings.sheet is None else settings.sheet.expanduser().absolute(),
    )
    if result.sheet is not None:
        _write_sheet(result, [Path(entry.path) for _, entry, _, _ in found[:MAX_CELLS]])
    return result


def check(settings: SearchSettings) -> None:
    """Find out before any work whether the words fit together and the sheet can be written.

    Raises:
        UsageError: when they do not.
        ResourceError: when the sheet's folder cannot be written.
    """
    if settings.image is None and not (settings.query or "").strip():
        raise UsageError(
            'there is nothing to look for. Write: mmx search "man riding cycle", or --image FILE'
        )
    if settings.image is not None and settings.query is not None:
        raise UsageError(f"'{_shown(settings.query)}' and --image are two queries. Give one of them.")
    if settings.run is not None and settings.model is not None:
        raise UsageError("--run and --model are two ways to search. Give one of them.")
    of_dataset = {"--captions": settings.captions, "--split": settings.split, "--dataset": settings.dataset}
    word = next((word for word, given in of_dataset.items() if given), None)
    if settings.folder is not None and word is not None:
        raise UsageError(f"{word} needs a dataset, and --in names a folder of photos. Leave out one of them.")
    if settings.model is not None and settings.folder is None and settings.dataset is None:
        raise UsageError(f"'{settings.model}' has no dataset of its own. {WHERE_TO_SEARCH}")
    if settings.top < 0:
        raise UsageError(f"--top {settings.top} is not possible. It is 0 or more.")
    if settings.sheet is not None:
        if settings.sheet.suffix.lower() not in SHEET_SUFFIXES or settings.sheet.is_dir():
            raise UsageError(
                f"'{settings.sheet}' is no name for a picture. It ends in: {', '.join(SHEET_SUFFIXES)}."
            )
        check_writable(settings.sheet.expanduser().absolute().parent)


def encode_query(matcher: Matcher, settings: SearchSettings) -> Tensor:
    """The query as one vector [1, D].

    Raises:
        DataError: when its picture cannot be read.
    """
    if settings.image is None:
        return matcher.encode_texts([_shown(settings.query or "")])
    vectors, failures = matcher.encode_images([settings.image.expanduser()], SilentReporter())
    if failures:
        raise DataError(
            f"the picture '{settings.image}' cannot be read: {failures[0][1]}. Give another to --image."
        )
    return vectors


def _newest(settings: SearchSettings) -> Path:
    run = newest_run(settings.home.runs, "retrieval")
    if run is None:
        raise ArtifactError(
            f"there is no run in '{settings.home.runs}' that can search. Either train one:\n"
            "  mmx prepare toy && mmx train attention-clip --dataset toy\n"
            "or search a folder of photos with a pretrained pair of towers, from a hub or from a folder:\n"
            '  mmx search "man riding cycle" --in DIR --model hub:openai/clip-vit-base-patch32\n'
            '  mmx search "man riding cycle" --in DIR --model file:PATH'
        )
    return run.path


def _galleries(matcher: Matcher, settings: SearchSettings, reporter: Reporter) -> list[Gallery]:
    if settings.folder is not None:
        return [folder_gallery(matcher, settings.folder, settings.home, reporter, settings.rebuild)]
    opened = matcher.opened
    if settings.dataset is not None:
        manifest = Manifest.open(settings.home.dataset(settings.dataset))
    elif opened is not None:
        manifest = opened.assembly.manifest
    else:
        raise UsageError(f"'{matcher.name}' has no dataset of its own. {WHERE_TO_SEARCH}")
    if opened is not None and manifest.name == opened.dataset:
        place = opened.folder.path / "gallery"
    else:
        place = index_folder(settings.home, f"dataset {manifest.name}", matcher.fingerprint)
    embed = functools.partial(_embed, matcher, manifest, settings, reporter)
    splits = manifest.splits if settings.split is None else [settings.split]
    return [
        split_gallery(place, manifest, split, matcher.fingerprint, embed, reporter, settings.rebuild)
        for split in splits
    ]


def _embed(
    matcher: Matcher, manifest: Manifest, settings: SearchSettings, reporter: Reporter, split: str
) -> Embeddings:
    """A split of a corpus in the matcher's space, from cached features.

    Raises:
        ArtifactError: when they come from other weights than the query.
    """
    device = find_device(settings.device)
    reporter.info(f"encoding the split '{split}' of '{manifest.name}', once")
    if matcher.opened is None:
        weights = matcher.fingerprint
        return embed_model(matcher.name, manifest, split, settings.home, device, reporter, weights).embeddings
    run = matcher.opened.folder
    embedded = embed_run(run, manifest, split, settings.home, device, BATCH, reporter)
    if embedded.fingerprint != matcher.fingerprint:
        raise ArtifactError(
            f"the weights of '{run.path}' changed from '{matcher.fingerprint}' to '{embedded.fingerprint}' "
            "meanwhile. Search again."
        )
    return embedded.embeddings


def _nearest(
    query: Tensor, galleries: Sequence[Gallery], settings: SearchSettings
) -> list[tuple[float, Entry, str, str]]:
    """(score, picture, caption, source) of the best; on a tie, the earlier gallery and row first."""
    found = []
    for gallery in galleries:
        scores, rows = top_k(query, _vectors(gallery, settings), settings.top, names=[_query_name(settings)])
        captions = gallery.captions if settings.captions else []
        for score, row in zip(scores[0].tolist(), rows[0].tolist(), strict=True):
            entry, caption = captions[row] if settings.captions else (gallery.entries[row], "")
            first = next(iter(entry.captions), "")
            found.append((score, entry, caption or first, gallery.source))
    return sorted(found, key=lambda hit: -hit[0])[: settings.top]


def _vectors(gallery: Gallery, settings: SearchSettings) -> Tensor:
    if not settings.captions:
        return gallery.image_vectors
    if gallery.text_vectors is None:
        raise UsageError(f"'{gallery.source}' has no captions to find. Leave out --captions.")
    return gallery.text_vectors


def _write_sheet(result: SearchResult, pictures: Sequence[Path]) -> None:
    # A photo in a folder has no caption: its name is then what tells it apart.
    cells = [
        Cell(hit.rank, hit.score, _picture(path), hit.caption or hit.id)
        for hit, path in zip(result.hits, pictures, strict=False)
    ]
    where = ", ".join(result.searched)
    title = result.query if result.asked_with == "text" else f"like {Path(result.query).name}"
    sheet = draw_sheet(title, f"{result.matcher}  ·  {result.size:,} {result.finds} in {where}", cells)
    with atomic_file(result.sheet) as temporary:
        sheet.save(temporary)


def _picture(path: Path):  # noqa: ANN202
    try:
        return load_image(path, PHOTO)
    except ImageError as error:
        return str(error)


def _query_name(settings: SearchSettings) -> str:
    return _shown((settings.query or "") if settings.image is None else str(settings.image))


def _shown(text: str) -> str:
    """A name that can be printed: bytes that are no UTF-8 become a replacement sign."""
    return text.encode("utf-8", "replace").decode("utf-8")
