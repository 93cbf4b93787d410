"""What a matcher searches, opened for one query after another: galleries of a corpus, a folder, an index."""

import functools

import pyarrow
import torch
from torch import Tensor

from mmx.core.device import find_device
from mmx.core.errors import ArtifactError, DataError, UsageError
from mmx.core.reporter import Reporter, SilentReporter
from mmx.engine.evaluator import Embeddings
from mmx.search.gallery_index import GalleryIndex, LocalIndex
from mmx.search.query import combine
from mmx.store.gallery import Gallery
from mmx.store.manifest import Manifest
from mmx.workflows.embedded import embed_model, embed_run
from mmx.workflows.galleries import folder_index, gallery_folder, kept_index, split_gallery
from mmx.workflows.index_address import open_address
from mmx.workflows.matcher import Matcher
from mmx.workflows.picture_columns import folder_columns, split_columns
from mmx.workflows.search_settings import WHERE_TO_SEARCH, SearchSettings, shown

BATCH = 256


def open_searchables(matcher: Matcher, settings: SearchSettings, reporter: Reporter) -> list[GalleryIndex]:
    """What is searched: a folder, an index at an address, or splits of a corpus.

    Raises:
        UsageError: when there is no such split, or nothing says where to search.
        DataError: when the folder holds nothing to search.
        ArtifactError: when the corpus is not prepared, or its features do not fit.
        ResourceError: when the index cannot be written.
    """
    if settings.index is not None:
        return [_not_empty(open_address(settings.index, matcher.fingerprint))]
    if settings.folder is None:
        return [
            LocalIndex(gallery, columns=functools.partial(_split_columns, gallery, matcher, settings))
            for gallery in split_galleries(matcher, settings, reporter)
        ]
    if settings.refresh:
        index = folder_index(matcher, settings.folder, settings.home, reporter, settings.rebuild)
    else:
        index = kept_index(matcher, settings.folder, settings.home, reporter)
    columns = functools.partial(folder_columns, index.gallery, settings.table)
    return [_not_empty(LocalIndex(index.gallery, index.compressed, columns))]


def _not_empty(index: GalleryIndex) -> GalleryIndex:
    if not len(index):
        raise DataError(
            f"none of the {len(index.unreadable):,} pictures in '{shown(index.source)}' can be read. See the "
            "warning above."
            if index.unreadable
            else f"the index of '{shown(index.source)}' is empty: what is there was removed from it. "
            "Add it again: mmx index add DIR"
        )
    return index


def split_galleries(matcher: Matcher, settings: SearchSettings, reporter: Reporter) -> list[Gallery]:
    """The galleries of a corpus: of one split, or of all.

    Raises:
        UsageError: when there is no such split, or nothing says which corpus.
        ArtifactError: when it is not prepared, or its features do not fit.
    """
    manifest = manifest_of(matcher, settings)
    place = gallery_folder(matcher, manifest, settings.home)
    embed = functools.partial(_embed, matcher, manifest, settings, reporter)
    splits = manifest.splits if settings.split is None else [settings.split]
    return [
        split_gallery(place, manifest, split, matcher.fingerprint, embed, reporter, settings.rebuild)
        for split in splits
    ]


def manifest_of(matcher: Matcher, settings: SearchSettings) -> Manifest:
    """The corpus that is searched.

    Raises:
        UsageError: when nothing says which.
        ArtifactError: when it is not prepared.
    """
    if settings.dataset is not None:
        return Manifest.open(settings.home.dataset(settings.dataset))
    if matcher.opened is None:
        raise UsageError(f"'{matcher.name}' has no dataset of its own. {WHERE_TO_SEARCH}")
    return matcher.opened.assembly.manifest


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


def encode_query(matcher: Matcher, settings: SearchSettings) -> Tensor:
    """The query as one vector [1, D].

    Raises:
        UsageError: when it points nowhere, or the model knows none of its words.
        DataError: when a picture of it cannot be read.
    """
    vectors = []
    for term in settings.terms:
        if term.picture is None:
            if not matcher.knows(term.text):
                raise UsageError(
                    f"no word of '{shown(term.text)}' stands in the captions '{matcher.name}' learnt from. "
                    "Use other words, or a run whose words an encoder reads."
                )
            vectors.append(matcher.encode_texts([term.text]))
            continue
        vector, failures = matcher.encode_images([term.picture], SilentReporter())
        if failures:
            raise DataError(
                f"the picture '{shown(str(term.picture))}' cannot be read: {failures[0][1]}. Name another; a "
                "sentence that looks like a path is put in quotes: '\"a.jpg\"'."
            )
        vectors.append(vector)
    return combine(settings.terms, torch.cat(vectors), settings.said)


def _split_columns(gallery: Gallery, matcher: Matcher, settings: SearchSettings) -> pyarrow.Table:
    split = gallery.source.rpartition(" ")[2]
    return split_columns(gallery, manifest_of(matcher, settings), split)
