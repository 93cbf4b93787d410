"""Search without torch: words through an exported graph, vectors through numpy, where an index is ready.

A process that asks once spends most of its time on loading torch. What is found is what `search` finds, and
scores differ by no more than an export may: 1e-4; by more with an export in int8, which `auto` never takes.
Whatever needs more than words, an export of the run's present weights, and an index that is ready for them,
is left to `search`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy

from mmx.core.errors import ArtifactError, UsageError
from mmx.core.paths import expanded
from mmx.core.present import present
from mmx.core.reporter import Reporter
from mmx.encoders.onnx_session import installed
from mmx.encoders.onnx_text import OnnxText
from mmx.search.one_query import nearest_of_one
from mmx.search.photos import check_folder, find_photos
from mmx.search.query import combine
from mmx.search.unchanged import unchanged
from mmx.store.gallery_arrays import GalleryArrays
from mmx.store.image_paths import IMAGE_SUFFIXES
from mmx.store.onnx_towers import OnnxTowers
from mmx.store.run_record import RunRecord, run_path
from mmx.store.shipped import results_place
from mmx.workflows.chosen_run import choose_run
from mmx.workflows.gallery_place import GALLERY, dataset_folder, index_folder, own_galleries, photo_folder
from mmx.workflows.onnx_place import towers_place
from mmx.workflows.photo_faults import tell_of_faults
from mmx.workflows.search_result import Hit, SearchResult
from mmx.workflows.search_settings import SearchSettings, check, read_min_score, shown

EXACT, HUB = "exact", "hub:"
MOST_BYTES = 1 << 30
"""Of vectors that are looked at one by one; beyond, torch and the codes of a gallery are faster."""


class NotQuick(Exception):
    """What is asked needs torch; the message is the reason."""


@dataclass(frozen=True)
class _Ready:
    """A gallery that is ready, with the name of what was encoded and where its pictures lie."""

    gallery: GalleryArrays
    source: str
    root: Path | None
    """What the paths of pictures begin with; None where they are whole."""

    def vectors(self, captions: bool) -> numpy.ndarray:
        """[N, D] of pictures or of captions."""
        return present(self.gallery.text_vectors) if captions else self.gallery.image_vectors


def quick_search(queries: Sequence[SearchSettings], reporter: Reporter) -> list[SearchResult] | None:
    """The answers of queries that differ in what is asked and in where answers are written; None where torch
    has to answer.

    Raises:
        UsageError: when the words do not fit together, or onnx was asked for and cannot answer.
        DataError: when the folder of photos is not there.
        ArtifactError: when there is nothing to search with.
        MissingExtraError: when onnx was asked for and is not installed.
    """
    for settings in queries:
        check(settings)
    first = queries[0]
    if first.folder is not None and first.refresh:
        check_folder(expanded(first.folder))
    if first.engine == "torch" or (first.engine == "auto" and not installed()):
        return None
    try:
        for settings in queries:
            _check_words(settings)
        run, remark, towers = _towers(first)
        if towers.int8 is not None and first.engine != "onnx":
            reporter.info(
                f"torch reads the words, since '{run.name}' is exported in int8, which --engine onnx takes"
            )
            raise NotQuick("its words are in int8")
        ready = _galleries(first, run, towers.fingerprint, reporter)
    except NotQuick as reason:
        if first.engine == "onnx":
            raise UsageError(f"--engine onnx cannot answer this: {reason}. Leave it out.") from reason
        return None
    if remark:
        reporter.info(remark)
    if towers.int8 is not None:
        reporter.info(_said_of_int8(run, towers.int8))
    words = OnnxText(towers.path, towers.facts["text"], once=True)
    return [_answer(settings, words, ready, run.name, towers.int8 is not None) for settings in queries]


def _check_words(settings: SearchSettings) -> None:
    """Words alone are asked, and the nearest alone are wanted."""
    wants = {
        "--model": settings.model,
        "--index": settings.index,
        "--where": settings.where,
        "--collapse": settings.collapse,
        "--explain": settings.explain,
        "--rerank-top": settings.rerank_top,
        "--rebuild": settings.rebuild,
        "a run on a hub": settings.run is not None and str(settings.run).startswith(HUB),
        "a picture that is asked with": any(term.picture is not None for term in settings.terms),
        "--min-score in percent": settings.min_score is not None and read_min_score(settings.min_score)[1],
        f"--device {settings.device}": settings.device not in ("auto", "cpu"),
    }
    word = next((word for word, wanted in wants.items() if wanted), None)
    if word is not None:
        raise NotQuick(f"{word} needs torch")


def _towers(settings: SearchSettings) -> tuple[RunRecord, str, OnnxTowers]:
    """The run that searches, what is told of it, and its export, which must be of its present weights."""
    path, remark = choose_run(settings) if settings.run is None else (settings.run, "")
    run = RunRecord.open(run_path(path, settings.home.runs))
    try:
        towers = OnnxTowers.open(towers_place(run.path, settings.home))
    except ArtifactError as error:
        raise NotQuick(f"there is no export that can be read of '{run.name}' ({error})") from error
    # weights that nobody touched since are not read: hashing them takes longer than the search
    if towers.facts.get("stamp") != run.stamp and towers.fingerprint != run.fingerprint:
        raise NotQuick(
            f"the export of '{run.name}' is of other weights. Make it again: mmx export RUN --onnx"
        )
    text = towers.facts["text"]
    if not text or not text["tokenizer"] or text["numbered_by_mmx"]:
        raise NotQuick(f"the words of '{run.name}' are not read by a tokenizer alone")
    if towers.facts["second_stage"] and settings.finds_pairs:
        raise NotQuick(f"'{run.name}' looks twice, which needs torch; --rerank-top 0 is for search without")
    return run, remark, towers


def _said_of_int8(run: RunRecord, int8: Mapping[str, Any]) -> str:
    """Words in int8 find a little less: how much, on what."""
    metric = int8["primary_metric"]
    before, after = (row["metrics"][metric] for row in int8["rows"][:2])
    return (
        f"'{run.name}' reads words in int8: {metric} {after:.2f} on '{int8['dataset']}' "
        f"{int8['split']}, {before:.2f} in float"
    )


def _galleries(
    settings: SearchSettings, run: RunRecord, fingerprint: str, reporter: Reporter
) -> list[_Ready]:
    """What is searched, if all of it is encoded."""
    try:
        if settings.folder is not None:
            found = [_of_folder(settings, settings.folder, run, fingerprint, reporter)]
        else:
            found = _of_dataset(settings, run, fingerprint)
    except ArtifactError as error:
        raise NotQuick(str(error)) from error
    for ready in found:
        if not len(ready.gallery.entries) or (settings.captions and ready.gallery.text_vectors is None):
            raise NotQuick(f"'{shown(ready.source)}' holds nothing that is looked for")
        if ready.gallery.image_vectors.nbytes > MOST_BYTES:
            raise NotQuick(f"'{shown(ready.source)}' is large, and torch is faster there")
    return found


def _of_folder(
    settings: SearchSettings, folder: Path, run: RunRecord, fingerprint: str, reporter: Reporter
) -> _Ready:
    folder = photo_folder(folder)
    path = index_folder(settings.home, folder, fingerprint) / GALLERY
    gallery = GalleryArrays.open(path, fingerprint)
    if gallery is None or gallery.header["kind"] != EXACT:
        raise NotQuick(f"the index of '{shown(str(folder))}' is of another kind")
    if settings.refresh:
        if not folder.is_dir():
            raise NotQuick(f"'{shown(str(folder))}' is not a folder")
        found = find_photos(folder, IMAGE_SUFFIXES)
        header, made_by = gallery.header, {"run": str(run.path)}
        photos = [photo for photo in found.photos if gallery.scope.covers(photo.id)]
        same = header["complete"] and header["made_by"] == made_by
        if not same or not unchanged(photos, gallery.entries, gallery.unreadable):
            raise NotQuick(f"photos of '{shown(str(folder))}' are to be encoded or looked at first")
        tell_of_faults(folder, found, gallery.unreadable, reporter)
    return _Ready(gallery, gallery.header["source"], None)


def _of_dataset(settings: SearchSettings, run: RunRecord, fingerprint: str) -> list[_Ready]:
    # a folder of photos has no manifest, nor what reads one
    from mmx.store.manifest import Manifest

    manifest = Manifest.open(settings.home.dataset(settings.dataset or run.facts["dataset"]))
    own = manifest.name == run.facts["dataset"]
    place = (
        own_galleries(results_place(run.path, settings.home))
        if own
        else dataset_folder(settings.home, manifest.name, fingerprint)
    )
    splits = manifest.splits if settings.split is None else [settings.split]
    found = []
    for split in splits:
        gallery = GalleryArrays.open(place / f"{split}.safetensors", f"{fingerprint}/{manifest.fingerprint}")
        if gallery is None:
            raise NotQuick(f"'{manifest.name}' {split} is to be encoded first")
        found.append(_Ready(gallery, gallery.header["source"], manifest.image_root))
    return found


def _answer(
    settings: SearchSettings, words: OnnxText, ready: Sequence[_Ready], matcher: str, int8: bool
) -> SearchResult:
    query = combine(settings.terms, words.encode([term.text for term in settings.terms]), settings.said)[0]
    least = None if settings.min_score is None else read_min_score(settings.min_score)[0]
    hits, paths = _hits(settings, query, least, ready)
    sources, size = [one.source for one in ready], sum(len(one.vectors(settings.captions)) for one in ready)
    unreadable = [bad for one in ready for bad in one.gallery.unreadable]
    result = SearchResult.to(settings, matcher, sources, size, hits, unreadable, least, int8=int8)
    if result.sheet is not None or result.page is not None:
        # what draws is loaded when something is drawn
        from mmx.workflows.hit_pictures import draw_answers

        draw_answers(result, paths)
    return result


def _hits(
    settings: SearchSettings, query: numpy.ndarray, least: float | None, ready: Sequence[_Ready]
) -> tuple[tuple[Hit, ...], list[Path]]:
    """The best of all galleries, and their pictures; on a tie, the earlier gallery and row first."""
    near = []
    for place, one in enumerate(ready):
        scores, rows = nearest_of_one(query, one.vectors(settings.captions), settings.top)
        near += [(-score, place, row) for score, row in zip(scores.tolist(), rows.tolist(), strict=True)]
    near = [found for found in near if least is None or -found[0] >= least]
    hits, paths = [], []
    for rank, (minus, place, row) in enumerate(sorted(near)[: settings.top], start=1):
        one = ready[place]
        if settings.captions:
            entry, caption = one.gallery.captions[row]
            row = int(one.gallery.entries.caption_ends.searchsorted(row, side="right"))
        else:
            entry = one.gallery.entries[row]
            caption = next(iter(entry.captions), "")
        path = Path(entry.path) if one.root is None else one.root / entry.path
        paths.append(path)
        named = shown(entry.id), shown(str(path)), caption, shown(one.source)
        hits.append(Hit(rank, -minus, *named, (place, row)))
    return tuple(hits), paths
