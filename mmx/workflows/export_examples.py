"""Sentences and pictures to compare an export with torch on: those of the run's data, else drawn ones."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mmx.core.errors import ArtifactError
from mmx.core.record import Record
from mmx.core.view import View
from mmx.store.images import ImageError, read_pixels
from mmx.store.manifest import Manifest
from mmx.workflows.opened_run import OpenedRun

SENTENCES, PICTURES = 64, 16
LOOKED_AT = 64
"""Records among which pictures that can be read are looked for."""
WORDS = ("a", "man", "two", "dogs", "riding", "on", "the", "grass", "in", "red", "with", "water", ".")
DRAWN_LENGTHS = (1, 2, 3, 5, 8, 13, 21, 34, 60)
BLOTS = 7


def sentences_of(opened: OpenedRun) -> tuple[list[str], str]:
    """Some captions, and what they are: of a split of the run's data where it is prepared, else drawn."""
    found = _records(opened)
    if found is None:
        return drawn_sentences(), "drawn sentences"
    records, where = found
    captions = [caption for record in records for caption in record.captions]
    step = max(1, len(captions) // SENTENCES)
    return captions[::step][:SENTENCES] or drawn_sentences(), f"captions of {where}"


def pictures_of(opened: OpenedRun, view: View) -> tuple[Tensor, str]:
    """Some pictures as an encoder sees them, uint8 [N, 3, height, width], and what they are."""
    found = _records(opened)
    if found is not None:
        records, where = found
        pixels = _read(opened.assembly.manifest, records[:LOOKED_AT], view)
        if len(pixels) == PICTURES:
            return torch.stack(pixels), f"pictures of {where}"
    return drawn_pictures(view), "drawn pictures"


def drawn_sentences() -> list[str]:
    """Sentences of several lengths, always the same; what they say is of no matter."""
    random = torch.Generator().manual_seed(0)
    rows = [torch.randint(len(WORDS), (length,), generator=random).tolist() for length in DRAWN_LENGTHS]
    return [" ".join(WORDS[word] for word in row) for row in rows]


def drawn_pictures(view: View) -> Tensor:
    """Blots of colour, always the same: uint8 [N, 3, height, width]."""
    random = torch.Generator().manual_seed(0)
    blots = torch.rand(PICTURES, 3, BLOTS, BLOTS, generator=random)
    size = (view.height, view.width)
    return (torch.nn.functional.interpolate(blots, size, mode="bilinear") * 255).to(torch.uint8)


def _records(opened: OpenedRun) -> tuple[Sequence[Record], str] | None:
    """Those of val, else of the first split there is; None where the data is not on this machine."""
    try:
        manifest = opened.assembly.manifest
    except ArtifactError:
        return None
    split = "val" if "val" in manifest.splits else manifest.splits[0]
    return manifest.split(split), f"'{manifest.name}' {split}"


def _read(manifest: Manifest, records: Sequence[Record], view: View) -> list[Tensor]:
    pixels: list[Tensor] = []
    for record in records:
        if record.image is None or len(pixels) == PICTURES:
            continue
        try:
            pixels.append(torch.from_numpy(read_pixels(manifest.image_path(record), view)))
        except ImageError:
            continue
    return pixels
