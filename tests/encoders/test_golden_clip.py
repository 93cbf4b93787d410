"""The real CLIP beside vectors that another program made with it; skipped without its weights."""

import csv
from pathlib import Path

import numpy
import pytest
import torch
from torch.nn.functional import cosine_similarity

from mmx.core.encoder import ImageEncoder, TextEncoder
from mmx.core.errors import ArtifactError
from mmx.encoders.batch_norm import freeze
from mmx.encoders.load import load_encoder
from mmx.engine.text_batches import pad_tokens
from mmx.store.images import read_pixels

NEAR = 0.99
BATCH = 20


def _clip(modality: str) -> ImageEncoder | TextEncoder:
    try:
        return freeze(load_encoder("clip-vit-b32", modality))
    except ArtifactError as error:
        pytest.skip(f"the weights of CLIP ViT-B/32 are not in the cache: {str(error).splitlines()[0]}")


def _rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "chia213_metadata.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.real_data
@torch.inference_mode()
def test_photos_lie_where_the_stored_vectors_say(real_data: Path) -> None:
    encoder, folder = _clip("image"), real_data / "clip_vitb32_flickr8k"
    names = list(dict.fromkeys(row["image_id"] for row in _rows(folder)))
    stored = torch.from_numpy(numpy.load(folder / "chia213_image.npy")).float()
    photos = [real_data / "flickr8k" / "images" / f"{name}.jpg" for name in names]
    here = [place for place, photo in enumerate(photos) if photo.is_file()]
    if not here:
        pytest.skip("none of the hundred photos is among the real data")

    for some in (here[begin : begin + BATCH] for begin in range(0, len(here), BATCH)):
        pixels = torch.stack([torch.from_numpy(read_pixels(photos[place], encoder.view)) for place in some])
        assert cosine_similarity(encoder(pixels)["image_embedding"], stored[some]).min() > NEAR


@pytest.mark.real_data
@torch.inference_mode()
def test_captions_lie_where_the_stored_vectors_say(real_data: Path) -> None:
    encoder, folder = _clip("text"), real_data / "clip_vitb32_flickr8k"
    captions = [row["caption"] for row in _rows(folder)]
    stored = torch.from_numpy(numpy.load(folder / "chia213_text.npy")).float()

    for begin in range(0, len(captions), BATCH):
        some = captions[begin : begin + BATCH]
        found = encoder(*pad_tokens(encoder.tokenize(some)))["text_embedding"]
        assert cosine_similarity(found, stored[begin : begin + BATCH]).min() > NEAR
