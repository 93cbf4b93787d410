"""Search: the pictures or captions nearest to a sentence or a picture, in a corpus or a folder."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from mmx.core.device import find_device
from mmx.core.errors import ArtifactError, DataError, UsageError
from mmx.core.reporter import Reporter, SilentReporter
from mmx.engine.evaluator import Embeddings
from mmx.reports.contact_sheet import MAX_CELLS, PHOTO, Cell, draw_sheet
from mmx.search.exact import top_k
from mmx.store.atomic import atomic_file
from mmx.store.images import ImageError, load_image
from mmx.store.index import Entry, Gallery
from mmx.store.manifest import Manifest
from mmx.store.run import find_run, newest_run
from mmx.workflows.embedded import embed_model, embed_run
from mmx.workflows.evidence_files import Explained, Pair
from mmx.workflows.explain import check_explains, explain_pairs
from mmx.workflows.galleries import folder_gallery, gallery_folder, split_gallery
from mmx.workflows.matcher import Matcher, open_matcher
from mmx.workflows.search_settings import WHERE_TO_SEARCH, SearchSettings, check, shown
from mmx.workflows.second_look import Found, SecondLook, second_look

BATCH = 256


@dataclass(frozen=True)
class Hit:
    """One find: a picture with its first caption, or a caption with its picture."""

    rank: int
    score: float
    id: str
    path: str
    caption: str
    source: str
    cosine: float | None = None
    """The first stage's score, where a second one has looked too."""

    def as_document(self) -> dict[str, Any]:
        """Its fields; `cosine` only where the score is not one."""
        return {name: value for name, value in vars(self).items() if value is not None}


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
    explained: Explained | None = None
    rerank: dict[str, float] | None = None
    """How many of the nearest a second stage looked at, and its weight; None where none did."""

    def as_document(self) -> dict[str, Any]:
        """What --json shows; documented in README."""
        return {
            "schema": "mmx.search/1",
            "query": {self.asked_with: self.query},
            "finds": self.finds,
            "matcher": self.matcher,
            "searched": list(self.searched),
            "size": self.size,
            **({} if self.rerank is None else {"rerank": self.rerank}),
            "hits": [hit.as_document() for hit in self.hits],
            "unreadable": [{"path": path, "reason": reason} for path, reason in self.unreadable],
            "sheet": None if self.sheet is None else str(self.sheet),
            **({} if self.explained is None else {"evidence": self.explained.as_document()}),
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
    return search_with(open_searcher(settings), settings, reporter)


def open_searcher(settings: SearchSettings) -> Matcher:
    """The run or model to search with; the newest run where none is named.

    Raises:
        ArtifactError: when there is none, or it cannot be opened.
    """
    run = settings.run
    if run is not None:
        run = find_run(run, settings.home.runs).path
    elif settings.model is None:
        run = _newest(settings)
    return open_matcher(run, settings.model, settings.home, settings.device)


def search_with(matcher: Matcher, settings: SearchSettings, reporter: Reporter) -> SearchResult:
    """The same, with a matcher that is open already."""
    check(settings)
    if settings.explain:
        check_explains(matcher)
    look = second_look(matcher, settings, reporter)
    query = encode_query(matcher, settings)
    galleries = galleries_of(matcher, settings, reporter)
    finds = "captions" if settings.captions else "images"
    found = _found(query, galleries, settings, look)
    result = SearchResult(
        query=_query_name(settings),
        asked_with="text" if settings.image is None else "image",
        finds=finds,
        matcher=matcher.name,
        searched=tuple(shown(gallery.source) for gallery in galleries),
        size=sum(len(_vectors(gallery, settings)) for gallery in galleries),
        hits=tuple(_hit(rank, hit) for rank, hit in enumerate(found, start=1)),
        unreadable=tuple(
            (shown(bad.path), bad.reason) for gallery in galleries for bad in gallery.unreadable
        ),
        sheet=None if settings.sheet is None else settings.sheet.expanduser().absolute(),
        rerank=None if look is None else {"top": look.top, "weight": look.weight},
    )
    if result.sheet is not None:
        _write_sheet(result, [Path(hit.entry.path) for hit in found[:MAX_CELLS]])
    if settings.explain:
        pairs = _pairs(result, [hit.entry for hit in found], settings)
        if len(pairs) < settings.explain:
            reporter.info(f"{settings.explain:,} hits were to be explained, and there are {len(pairs):,}")
        place = settings.evidence.expanduser().absolute()
        result = replace(result, explained=explain_pairs(matcher, pairs, place, result.query, reporter))
    return result


def _pairs(result: SearchResult, entries: Sequence[Entry], settings: SearchSettings) -> list[Pair]:
    """The best hits: the query with the pictures found, or the query's picture with the captions found."""
    pairs = []
    for hit, entry in zip(result.hits[: settings.explain], entries, strict=False):
        if settings.image is None:
            place, found = (Path(entry.path), hit.path), (hit.id, result.query, hit.source)
        else:
            path = settings.image.expanduser()
            place, found = (path, shown(str(path))), (shown(path.name), hit.caption, shown(str(path.parent)))
        pairs.append(Pair(hit.rank, hit.score, *place, *found))
    return pairs


def encode_query(matcher: Matcher, settings: SearchSettings) -> Tensor:
    """The query as one vector [1, D].

    Raises:
        DataError: when its picture cannot be read.
    """
    if settings.image is None:
        return matcher.encode_texts([shown(settings.query or "")])
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


def galleries_of(matcher: Matcher, settings: SearchSettings, reporter: Reporter) -> list[Gallery]:
    """What is searched: a folder, or splits of a corpus.

    Raises:
        UsageError: when there is no such split, or nothing says where to search.
        DataError: when the folder holds nothing to search.
        ArtifactError: when the corpus is not prepared, or its features do not fit.
        ResourceError: when the index cannot be written.
    """
    if settings.folder is not None:
        return [folder_gallery(matcher, settings.folder, settings.home, reporter, settings.rebuild)]
    opened = matcher.opened
    if settings.dataset is not None:
        manifest = Manifest.open(settings.home.dataset(settings.dataset))
    elif opened is not None:
        manifest = opened.assembly.manifest
    else:
        raise UsageError(f"'{matcher.name}' has no dataset of its own. {WHERE_TO_SEARCH}")
    place = gallery_folder(matcher, manifest, settings.home)
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


def _found(
    query: Tensor, galleries: Sequence[Gallery], settings: SearchSettings, look: SecondLook | None
) -> list[Found]:
    """What is shown, best first."""
    if look is None or settings.top == 0:
        return _nearest(query, galleries, settings, settings.top)
    near = _nearest(query, galleries, settings, max(settings.top, look.top))
    return look.again(near, galleries)[: settings.top]


def _hit(rank: int, found: Found) -> Hit:
    entry = found.entry
    named = shown(entry.id), shown(entry.path), found.caption, shown(found.source)
    return Hit(rank, found.score, *named, found.cosine)


def _nearest(query: Tensor, galleries: Sequence[Gallery], settings: SearchSettings, top: int) -> list[Found]:
    """The `top` best by the first stage; on a tie, the earlier gallery and row first."""
    found = []
    for gallery in galleries:
        scores, rows = top_k(query, _vectors(gallery, settings), top, names=[_query_name(settings)])
        captions = gallery.captions if settings.captions else []
        for score, row in zip(scores[0].tolist(), rows[0].tolist(), strict=True):
            entry, caption = captions[row] if settings.captions else (gallery.entries[row], "")
            first = next(iter(entry.captions), "")
            found.append(Found(score, entry, caption or first, gallery.source))
    return sorted(found, key=lambda hit: -hit.score)[:top]


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
    return shown((settings.query or "") if settings.image is None else str(settings.image))
