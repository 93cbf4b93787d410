"""Matcher: pictures and sentences in, vectors of one space out; a trained run or a pretrained pair."""

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn.functional import normalize

from mmx.core.batch import Batch
from mmx.core.device import find_device
from mmx.core.encoder import ImageEncoder, TextEncoder
from mmx.core.errors import ArtifactError
from mmx.core.home import Home
from mmx.core.reporter import Reporter
from mmx.core.task import Retrieval
from mmx.core.tower import MODALITIES
from mmx.core.view import View
from mmx.encoders.batch_norm import freeze
from mmx.encoders.load import load_encoder
from mmx.engine.split_data import TokenTexts
from mmx.store.images import ImageError, read_pixels
from mmx.workflows.assemble import OpenedRun, open_run

IMAGE_BATCH = 64
TEXT_BATCH = 256
DECODERS = 4

T = TypeVar("T")


Encoder = ImageEncoder | TextEncoder


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
    _encode_pixels: Callable[[Tensor], Tensor]
    _encode_tokens: Callable[[Tensor, Tensor], Tensor]

    @torch.inference_mode()
    def encode_images(
        self, paths: Sequence[Path], reporter: Reporter
    ) -> tuple[Tensor, list[tuple[int, str]]]:
        """Vectors [N, D] float32 of readable pictures, in order, and (place, reason) of all others."""
        vectors: list[Tensor] = []
        failures: list[tuple[int, str]] = []
        view = self._tower("image").view
        with reporter.progress("encode photos", len(paths), "photos") as bar:
            for pictures in _batched(_decode(paths, view), IMAGE_BATCH):
                failures += [(place, read) for place, read in pictures if isinstance(read, str)]
                pixels = [read for _, read in pictures if not isinstance(read, str)]
                if pixels:
                    vectors.append(self._encode_pixels(torch.stack(pixels)).float().cpu())
                bar.advance(len(pictures))
        return torch.cat(vectors) if vectors else torch.empty(0, 0), failures

    @torch.inference_mode()
    def encode_texts(self, captions: Sequence[str]) -> Tensor:
        """Vectors [C, D] float32 of sentences, in order."""
        texts = TokenTexts(self._tower("text").tokenize(captions))
        order = torch.tensor([len(ids) for ids in texts.token_ids]).argsort(stable=True)
        vectors = []
        for places in order.split(TEXT_BATCH):
            read = texts.read(places)
            vectors.append(self._encode_tokens(read["token_ids"], read["token_mask"]).float().cpu())
        return torch.cat(vectors)[order.argsort()]


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

    def encode_pixels(pixels: Tensor) -> Tensor:
        return normalize(image_encoder(pixels.to(device))["image_embedding"], dim=-1)

    def encode_tokens(token_ids: Tensor, token_mask: Tensor) -> Tensor:
        return normalize(text_encoder(token_ids.to(device), token_mask.to(device))["text_embedding"], dim=-1)

    fingerprint = f"{image_encoder.fingerprint}+{text_encoder.fingerprint}"
    return Matcher(name, fingerprint, None, towers.__getitem__, encode_pixels, encode_tokens)


def _trained(opened: OpenedRun, device: torch.device) -> Matcher:
    task = next(task for task in opened.method.tasks if isinstance(task, Retrieval))
    uses = opened.uses

    @functools.cache
    def tower(modality: str) -> Encoder:
        return _tower_of(opened, modality, device)

    def encode_pixels(pixels: Tensor) -> Tensor:
        if uses["image"].trainable:
            return task.encode_image(opened.model, Batch(pixels=pixels.to(device)))
        features = tower("image")(pixels.to(device))
        return task.encode_image(
            opened.model, Batch(**{field: features[field] for field in uses["image"].features})
        )

    def encode_tokens(token_ids: Tensor, token_mask: Tensor) -> Tensor:
        ids, mask = token_ids.to(device), token_mask.to(device)
        if uses["text"].trainable:
            return task.encode_text(opened.model, Batch(token_ids=ids, token_mask=mask))
        features = tower("text")(ids, mask)
        fields = {field: features[field] for field in uses["text"].features}
        return task.encode_text(opened.model, Batch(**fields, token_mask=mask))

    name = opened.folder.path.name
    return Matcher(name, opened.fingerprint, opened, tower, encode_pixels, encode_tokens)


def _tower_of(opened: OpenedRun, modality: str, device: torch.device) -> Encoder:
    """The run's own tower where it was trained; else the frozen one, which must have made the features."""
    tower = opened.towers[modality]
    if tower.module is not None:
        return tower.module
    fact = opened.folder.facts["towers"][modality]
    encoder = load_encoder(fact["encoder"], modality).to(device)
    if encoder.fingerprint != fact["fingerprint"]:
        raise ArtifactError(
            f"'{opened.folder.path}' was trained on features of '{fact['encoder']}' with fingerprint "
            f"{fact['fingerprint']}, but the weights here have {encoder.fingerprint}. "
            "Bring back those weights, or train again."
        )
    return freeze(encoder)


def _decode(paths: Sequence[Path], view: View) -> Iterator[tuple[int, Tensor | str]]:
    """(place, pixels, or the reason why there are none), decoded beside the network."""

    def read(path: Path) -> Tensor | str:
        try:
            return torch.from_numpy(read_pixels(path, view))
        except ImageError as error:
            return str(error)

    with ThreadPoolExecutor(DECODERS) as pool:
        # Executor.map would decode every picture ahead of the network; a window bounds the memory.
        for window in _batched(list(enumerate(paths)), IMAGE_BATCH * DECODERS):
            yield from zip(
                (place for place, _ in window), pool.map(read, (path for _, path in window)), strict=True
            )


def _batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while batch := list(itertools.islice(iterator, size)):
        yield batch
