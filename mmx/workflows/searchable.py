"""Searchable: a matcher with the galleries that it searches, open for one query after another."""

import functools
from dataclasses import dataclass

import torch
from torch import Tensor

from mmx.core.device import find_device
from mmx.core.errors import ArtifactError, DataError, UsageError
from mmx.core.reporter import Reporter, SilentReporter
from mmx.engine.evaluator import Embeddings
from mmx.search.approximate import Compressed
from mmx.search.nearest import nearest, nearest_rows
from mmx.search.query import combine
from mmx.search.where import rows_where
from mmx.store.index import Gallery
from mmx.store.manifest import Manifest
from mmx.workflows.embedded import embed_model, embed_run
from mmx.workflows.galleries import folder_index, gallery_folder, kept_index, split_gallery
from mmx.workflows.matcher import Matcher
from mmx.workflows.picture_columns import folder_columns, split_columns
from mmx.workflows.search_settings import WHERE_TO_SEARCH, SearchSettings, shown

BATCH = 256


@dataclass(frozen=True)
class Searchable:
    """One gallery, ready to be asked."""

    gallery: Gallery
    compressed: Compressed | None = None

    def vectors(self, captions: bool) -> Tensor:
        """Of the pictures [N, D], or of their captions [C, D].

        Raises:
            UsageError: when there are no captions.
        """
        if not captions:
            return self.gallery.image_vectors
        if self.gallery.text_vectors is None:
            raise UsageError(f"'{self.gallery.source}' has no captions to find. Leave out --captions.")
        return self.gallery.text_vectors

    def nearest(
        self, query: Tensor, top: int, captions: bool, allowed: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """[1, D] -> scores [top] and rows [top] of pictures, or of captions; `allowed` [N] is of pictures."""
        if captions:
            counts = torch.tensor([len(entry.captions) for entry in self.gallery.entries])
            mask = None if allowed is None else allowed.repeat_interleave(counts)
            scores, rows = nearest_rows(query, self.vectors(True), top, mask)
        else:
            scores, rows = nearest(query, self.gallery, top, allowed, self.compressed)
        return scores[0], rows[0]

    def owners(self, rows: Tensor, captions: bool) -> Tensor:
        """Rows of pictures, or of captions -> the rows of their pictures."""
        if not captions:
            return rows
        ends = torch.from_numpy(self.gallery.captions.entries.caption_ends)
        return torch.searchsorted(ends, rows, right=True)


def open_searchables(matcher: Matcher, settings: SearchSettings, reporter: Reporter) -> list[Searchable]:
    """What is searched: a folder, or splits of a corpus.

    Raises:
        UsageError: when there is no such split, or nothing says where to search.
        DataError: when the folder holds nothing to search.
        ArtifactError: when the corpus is not prepared, or its features do not fit.
        ResourceError: when the index cannot be written.
    """
    if settings.folder is None:
        return [Searchable(gallery) for gallery in split_galleries(matcher, settings, reporter)]
    if settings.refresh:
        index = folder_index(matcher, settings.folder, settings.home, reporter, settings.rebuild)
    else:
        index = kept_index(matcher, settings.folder, settings.home, reporter)
    gallery = index.gallery
    if not gallery.entries:
        raise DataError(
            f"none of the {len(gallery.unreadable):,} pictures in '{shown(gallery.source)}' can be read. See "
            "the warning above."
            if gallery.unreadable
            else f"the index of '{shown(gallery.source)}' is empty: what is there was removed from it. "
            "Add it again: mmx index add DIR"
        )
    return [Searchable(gallery, index.compressed)]


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


def allowed_rows(matcher: Matcher, searchable: Searchable, settings: SearchSettings) -> Tensor | None:
    """[N] bool: the pictures for which --where holds; None where nothing was asked.

    Raises:
        UsageError: when it is no condition over their columns.
        DataError: when the table of one's own cannot be read.
    """
    if settings.where is None:
        return None
    gallery = searchable.gallery
    if settings.folder is not None:
        columns = folder_columns(gallery, settings.table)
    else:
        split = gallery.source.rpartition(" ")[2]
        columns = split_columns(gallery, manifest_of(matcher, settings), split)
    return rows_where(columns, settings.where)
