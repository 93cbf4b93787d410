"""Matcher: pictures and sentences in, vectors of one space out; a trained run or a pretrained pair."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from mmx.core.batch import Batch
from mmx.core.caption_words import CaptionWords
from mmx.core.device import find_device
from mmx.core.encoder import ImageEncoder
from mmx.core.errors import ArtifactError
from mmx.core.home import Home
from mmx.core.present import present
from mmx.core.record import Record
from mmx.core.reporter import Reporter
from mmx.core.tower import MODALITIES
from mmx.core.view import View
from mmx.encoders.batch_norm import freeze
from mmx.encoders.load import load_encoder
from mmx.engine.pictures import Pixels, encode_pictures, join_pictures, to_device
from mmx.engine.regions import image_fields
from mmx.engine.split_data import NumberTexts
from mmx.store.images import read_pixels
from mmx.store.shard import MIRRORED
from mmx.workflows.decoded_photos import encode_photos
from mmx.workflows.frozen_features import modality_of
from mmx.workflows.opened_run import OpenedRun, open_run
from mmx.workflows.retrieval_task import retrieval_of

IMAGE_BATCH = 16
"""What a processor's caches hold; on a card it was not measured."""
LARGE_BATCH = 8
"""Of pictures that keep their own size."""
TEXT_BATCH = 256

Encoder = Any
"""An ImageEncoder or a TextEncoder: the name of its tower says which."""


@dataclass(frozen=True)
class Matcher:
    """Encodes new pictures and sentences into one space, where the score of a pair is the inner product.

    `name` says what encodes, `fingerprint` changes when its vectors would, `opened` is the run it comes from,
    if any.
    """

    name: str
    fingerprint: str
    opened: OpenedRun | None
    _tower: Callable[[str], Encoder]
    """modality -> its encoder; loaded when it is first asked for, since a sentence needs no image encoder."""
    _image_batch: Callable[[Mapping[str, Pixels], tuple[str, ...]], Batch]
    """Pictures by the tower that reads them, and fields that are wanted beside those that the model reads ->
    its images.
    """
    _encode_image: Callable[[Batch], Tensor]
    _number: Callable[[Sequence[str]], Mapping[str, Sequence[Sequence[int]]]]
    """Sentences -> by Batch field, the whole numbers that stand for each."""
    _text_batch: Callable[[Mapping[str, Tensor]], Batch]
    """The numbers of sentences -> its captions."""
    _encode_text: Callable[[Batch], Tensor]

    @torch.inference_mode()
    def encode_images(
        self, paths: Sequence[Path], reporter: Reporter
    ) -> tuple[Tensor, list[tuple[int, str]]]:
        """Vectors [N, D] float32 of readable pictures, in order, and (place, reason) of all others."""
        view = self.view("image")
        size = LARGE_BATCH if view.fit == "within" else IMAGE_BATCH
        return encode_photos(paths, view, size, lambda pixels: self.embed_pixels(pixels).cpu(), reporter)

    @torch.inference_mode()
    def encode_texts(self, captions: Sequence[str]) -> Tensor:
        """Vectors [C, D] float32 of sentences, in order."""
        texts = self.number_texts(captions)
        order = present(texts.lengths).argsort(stable=True)
        vectors = [self.embed_numbers(texts.read(places)).cpu() for places in order.split(TEXT_BATCH)]
        return torch.cat(vectors)[order.argsort()]

    def embed_pixels(self, pixels: Pixels) -> Tensor:
        """Pictures as the image tower reads them -> image_embedding [B, D] float32, unit length."""
        return self._encode_image(self._image_batch({"image": pixels}, ())).float()

    def embed_numbers(self, numbers: Mapping[str, Tensor]) -> Tensor:
        """The numbers of C sentences by Batch field, padded -> text_embedding [C, D] float32, unit length."""
        return self._encode_text(self._text_batch(numbers)).float()

    def number_texts(self, captions: Sequence[str]) -> NumberTexts:
        """The numbers that stand for sentences, in order."""
        return NumberTexts(self._number(captions))

    @torch.inference_mode()
    def read_image(self, path: Path, beside: tuple[str, ...] = ()) -> Batch:
        """A photo as the model reads it, with further fields of it.

        Raises:
            ImageError: with the reason when it cannot be read.
        """
        pixels = {}
        for key in self._reads_images():
            view = self.view(key)
            pixels[key] = join_pictures([torch.from_numpy(read_pixels(path, view))], view)
        return self._image_batch(pixels, beside)

    @torch.inference_mode()
    def read_texts(self, captions: Sequence[str]) -> Batch:
        """Sentences as the model reads them, in order."""
        return self._text_batch(self.number_texts(captions).read(torch.arange(len(captions))))

    def _reads_images(self) -> list[str]:
        uses = {} if self.opened is None else self.opened.uses
        return [key for key, use in uses.items() if modality_of(use) == "image"] or ["image"]

    def tower(self, key: str) -> Encoder:
        """An encoder, by the name that the method has for it; of a pretrained pair `image` or `text`."""
        return self._tower(key)

    def view(self, key: str) -> View:
        """How the encoder of a tower sees pictures."""
        return self._tower(key).view

    def words(self, captions: Sequence[str]) -> Sequence[CaptionWords]:
        """The words that the tokens of each caption of a run are pieces of.

        Raises:
            ValueError: when the method does not say which words it reads.
        """
        opened = present(self.opened)
        if "text" in opened.uses:
            return self._tower("text").words(captions)
        return opened.fitted.caption_words(captions)

    def knows(self, sentence: str) -> bool:
        """Whether some word of a sentence is known; an encoder of texts reads any."""
        if self.opened is None or "text" in self.opened.uses or self.opened.method.caption_words is None:
            return True
        (read,) = self.words([sentence])
        return len(read.unknown | read.special) < len(read.words)


def open_matcher(run: Path | None, model: str | None, home: Home, device: str) -> Matcher:
    """The matcher of a run, or of a pretrained pair of towers by name (exactly one of the two is given).

    Raises:
        ArtifactError: when the run or the weights are not there, or the towers share no space.
    """
    place = find_device(device)
    if model is not None:
        return _pretrained(model, place)
    if run is None:
        raise ArtifactError(
            "there is neither a run nor a model to encode with. Name one: --run DIR or --model NAME."
        )
    return _trained(open_run(run, home, place), place)


def _pretrained(name: str, device: torch.device) -> Matcher:
    towers = {modality: freeze(load_encoder(name, modality)).to(device) for modality in MODALITIES}
    image_encoder, text_encoder = towers["image"], towers["text"]
    if image_encoder.embedding_width is None or image_encoder.embedding_width != text_encoder.embedding_width:
        raise ArtifactError(
            f"the towers of '{name}' share no space, so they cannot search untrained. "
            "Train a matcher on them (mmx train), or take a pair such as hub:openai/clip-vit-base-patch32."
        )

    def image_batch(pixels: Mapping[str, Tensor], beside: tuple[str, ...]) -> Batch:
        return Batch(pixels=pixels["image"].to(device))

    def encode_image(batch: Batch) -> Tensor:
        return normalize(image_encoder(batch.pixels)["image_embedding"], dim=-1)

    def number(captions: Sequence[str]) -> dict[str, list[list[int]]]:
        return {"token_ids": text_encoder.tokenize(captions)}

    def text_batch(read: Mapping[str, Tensor]) -> Batch:
        return Batch.of(read).to(device)

    def encode_text(batch: Batch) -> Tensor:
        return normalize(text_encoder(batch.token_ids, batch.token_mask)["text_embedding"], dim=-1)

    return Matcher(
        name,
        f"{image_encoder.fingerprint}+{text_encoder.fingerprint}",
        None,
        towers.__getitem__,
        image_batch,
        encode_image,
        number,
        text_batch,
        encode_text,
    )


def _trained(opened: OpenedRun, device: torch.device) -> Matcher:
    task = retrieval_of(opened.method, opened.folder.path)
    uses = opened.uses

    @functools.cache
    def tower(modality: str) -> Encoder:
        return _tower_of(opened, modality, device)

    def image_batch(pixels: Mapping[str, Pixels], beside: tuple[str, ...]) -> Batch:
        fields: dict[str, Tensor] = {}
        for key, pictures in pixels.items():
            # what is wanted of places is that of the tower whose regions are read
            features = uses[key].features
            wanted = (*features, *(beside if "region_features" in features else ()))
            if not uses[key].trainable:
                fields |= _features(tower(key), pictures, device, wanted)
                continue
            fields["pixels"] = to_device(pictures, device)
            if wanted != features:
                places = ("region_features", *beside)
                found = _features(tower(key), pictures, device, places)
                fields |= {name: found[name] for name in found if name != "region_features"}
        return Batch(**fields)

    def number(captions: Sequence[str]) -> dict[str, Sequence[Sequence[int]]]:
        query = Record("query", "test", None, tuple(captions))
        tokens = {"token_ids": tower("text").tokenize(captions)} if "text" in uses else {}
        return {**tokens, **opened.fitted.caption_ids([query])}

    def text_batch(read: Mapping[str, Tensor]) -> Batch:
        batch = Batch.of(read).to(device)
        if "text" not in uses or uses["text"].trainable:
            return batch
        features = tower("text")(batch.token_ids, batch.token_mask)
        return replace(batch, token_ids=None, **{field: features[field] for field in uses["text"].features})

    return Matcher(
        opened.folder.path.name,
        opened.fingerprint,
        opened,
        tower,
        image_batch,
        functools.partial(task.encode_image, opened.model),
        number,
        text_batch,
        functools.partial(task.encode_text, opened.model),
    )


def _features(
    encoder: ImageEncoder, pictures: Pixels, device: torch.device, wanted: Sequence[str]
) -> dict[str, Tensor]:
    """Batch fields of pictures that an encoder sees, as its extracted features would give them."""
    mirrored = any(field.endswith(MIRRORED) for field in wanted)
    seen = encode_pictures(encoder, pictures, device, mirrored)
    view = (encoder.view.height, encoder.view.width)
    return image_fields(wanted, seen, seen.__getitem__, view)


def _tower_of(opened: OpenedRun, key: str, device: torch.device) -> Encoder:
    """The run's own tower where it was trained; else the frozen one, which must have made the features."""
    tower = opened.towers[key]
    if tower.module is not None:
        return tower.module
    fact = opened.folder.facts["towers"][key]
    encoder = load_encoder(fact["encoder"], modality_of(opened.uses[key])).to(device)
    if encoder.fingerprint != fact["fingerprint"]:
        raise ArtifactError(
            f"'{opened.folder.path}' was trained on features of '{fact['encoder']}' with fingerprint "
            f"{fact['fingerprint']}, but the weights here have {encoder.fingerprint}. "
            "Bring back those weights, or train again."
        )
    return freeze(encoder)
