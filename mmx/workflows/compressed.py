"""The compressed index beside a gallery: built with recall measured, used only with the very same vectors."""

import time
from pathlib import Path

import torch
from torch import Tensor

from mmx.core.errors import ArtifactError
from mmx.core.reporter import Reporter
from mmx.search.approximate import HITS, LEAST_ROWS, Compressed, build
from mmx.search.nearest import nearest
from mmx.store.approximation import Approximation
from mmx.store.gallery import Gallery
from mmx.workflows.matcher import Matcher

APPROXIMATION = "approximation.safetensors"
EXACT = "exact"
PROBES = 128
SUBJECTS = (
    "a dog", "two children", "a man in a red shirt", "a woman", "a group of people", "a cyclist", "a bird",
    "a car", "a plate of food", "an old building", "a girl", "a horse",
)  # fmt: skip
PLACES = (
    "on the grass", "in the snow", "by the water", "in a street", "at night", "on a beach", 
    "in front of a wall", "on a table", "at a party", "in the mountains", "jumping", "smiling",
)  # fmt: skip
"""Plain sentences, one of each with each, to measure recall with."""


def renew_compressed(
    place: Path, gallery: Gallery, matcher: Matcher, reporter: Reporter
) -> Compressed | None:
    """The compressed index of a gallery, built again where its vectors are others; None where it is exact.

    Raises:
        UsageError: when such a gallery cannot be compressed.
        ResourceError: when it cannot be written.
    """
    path = place / APPROXIMATION
    if gallery.kind == EXACT:
        path.unlink(missing_ok=True)
        return None
    kept = kept_compressed(place, gallery)
    if kept is not None:
        return kept
    path.unlink(missing_ok=True)
    if len(gallery.entries) < LEAST_ROWS:
        return None
    began = time.monotonic()
    probes = _probes(gallery, matcher)
    truth = {name: nearest(queries, gallery, HITS)[1] for name, queries in probes.items()}
    made = build(gallery.kind, gallery, probes, truth)
    made.about.save(path)
    reporter.info(f"{said_of(made.about, gallery)}, built in {time.monotonic() - began:.1f} s")
    return made


def kept_compressed(place: Path, gallery: Gallery) -> Compressed | None:
    """The compressed index that is kept, if it is of this kind and of these vectors."""
    try:
        about = Approximation.open(place / APPROXIMATION)
        fits = (about.kind, about.content) == (gallery.kind, gallery.content)
        return Compressed.of(about) if fits else None
    except ArtifactError:
        return None


def said_of(about: Approximation, gallery: Gallery) -> str:
    """What it is and how well it finds, in a line."""
    recall = " and ".join(f"{share:.1%} for {name}" for name, share in about.recall.items())
    size = gallery.image_vectors.numel() * gallery.image_vectors.element_size() / max(1, len(about.data))
    return (
        f"compressed index '{about.kind}' of {len(gallery.entries):,} pictures, {size:.0f} times smaller: "
        f"recall@{HITS} against exact search {recall}, with {about.candidates:,} candidates scored again"
    )


def _probes(gallery: Gallery, matcher: Matcher) -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(0)
    rows = torch.randperm(len(gallery.image_vectors), generator=random)[:PROBES]
    sentences = [f"{subject} {place}" for subject in SUBJECTS for place in PLACES][:PROBES]
    return {
        f"{len(rows)} of its photos": gallery.image_vectors.index_select(0, rows),
        f"{len(sentences)} sentences": matcher.encode_texts(sentences),
    }
