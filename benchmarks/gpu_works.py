"""What the GPU page measures: a training step of each method, encoders as `mmx extract` runs them, and exact
search, by mmx's own code at full size, or tiny to try all of it on a processor.

Weights and data are drawn: times depend on shapes and not on what was learnt.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from benchmarks.gpu_networks import drawn_network
from benchmarks.mh_cvse_step import COUNTS, make_assets
from benchmarks.plain_cvse import CONCEPTS, WORD, WORDS
from mmx.core.assets import NO_ASSETS, Assets, AssetSource
from mmx.core.discover import find_method
from mmx.core.method import Method
from mmx.core.record import Record
from mmx.core.reporter import SilentProgress
from mmx.core.settings import resolve
from mmx.core.tower import Tower, TowerUse
from mmx.encoders.batch_norm import fold, freeze
from mmx.engine.encode_shards import Job, image_tensors, text_tensors
from mmx.engine.loader import Pieces, read_ahead
from mmx.engine.parameters import find_groups, fixed_names
from mmx.engine.pieces import WHOLE
from mmx.engine.precision import autocast
from mmx.engine.processes import SINGLE
from mmx.engine.split_data import NumberTexts, SplitData
from mmx.engine.stage_plan import StagePlan
from mmx.engine.stage_run import StageRun, open_accelerator
from mmx.engine.training_order import TrainingOrder
from mmx.search.exact import top_k
from mmx.store.shard import ShardHeader

REGIONS, REGION_WIDTH, BATCHES, HITS, WIDTH = 36, 2048, 4, 10, 512
ADAMW_BYTES = 28
"""A parameter's weight, gradient and two moments are read, and all but the gradient written, 4 bytes each."""
DRAWN_AT_ONCE = 1 << 20
TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-ORG", "I-ORG", "B-OTHER", "I-OTHER")


class NotFinite(Exception):
    """A loss or its gradient is no number, so that the time says nothing."""


@dataclass(frozen=True)
class Work:
    """What is timed."""

    call: Callable[[], object]
    items: int
    """Pictures, captions or queries of a call."""
    least_bytes: float
    """What a call must at least read and write of the card's memory."""
    parts: Sequence[nn.Module] = ()
    """What `torch.compile` may take, in place."""
    fed: Callable[[], object] | None = None
    """The same with its batch read beside it, as `mmx train` does."""


@dataclass(frozen=True)
class Case:
    """A row of the page. `make` takes the device, the precision (fp32 or bf16) and whether all is tiny."""

    title: str
    unit: str
    make: Callable[[torch.device, str, bool], Work]
    variants: Sequence[str]
    convolves: bool = False
    """Whether most of it are convolutions, which torch computes in TF32 where fp32 is asked for."""


@dataclass(frozen=True)
class DrawnImages:
    """Image fields of a Batch in memory."""

    fields: Mapping[str, Tensor]

    def read(self, rows: Tensor, variants: Sequence[int] | None) -> dict[str, Tensor]:
        """[B] -> the fields of those rows."""
        return {name: value[rows] for name, value in self.fields.items()}


def sentences(count: int) -> list[tuple[str, ...]]:
    """Captions of Flickr30k's lengths, as words."""
    shares = torch.tensor([float(share) for share in COUNTS.split()])
    lengths = 4 + torch.multinomial(shares, count, replacement=True)  # there with start and end
    return [tuple(f"w{n}" for n in torch.randint(WORDS - 4, (length,)).tolist()) for length in lengths]


def tower_of(use: TowerUse, modality: str) -> Tower:
    """A tower that is trained, as `mmx train` makes it; of a frozen one the width of drawn regions."""
    if not use.trainable:
        return Tower(REGION_WIDTH)
    encoder = fold(drawn_network(use.encoder, modality))
    return Tower(encoder.width, encoder)


def drawn_images(uses: Mapping[str, TowerUse], towers: Mapping[str, Tower], count: int) -> DrawnImages:
    """Pixels for a trained tower, regions for a frozen one, what a post has beside them."""
    fields: dict[str, Tensor] = {}
    if "image" in uses and uses["image"].trainable:
        view = towers["image"].module.view
        fields["pixels"] = torch.randint(0, 256, (count, 3, view.height, view.width), dtype=torch.uint8)
    if side := uses["image"].thumbnail:
        fields["thumbnails"] = torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8)
        fields["image_mask"] = torch.ones(count, dtype=torch.bool)
    if any("region_features" in use.features for use in uses.values()):
        corners = torch.rand(count, REGIONS, 2) / 2
        fields["region_features"] = torch.rand(count, REGIONS, REGION_WIDTH)
        fields["region_mask"] = torch.ones(count, REGIONS, dtype=torch.bool)
        fields["region_boxes"] = torch.cat([corners, corners + 0.5], dim=-1)
    return DrawnImages(fields)


def drawn_assets(method: Method, settings: object, records: Sequence[Record]) -> Assets:
    """What the method counts; concepts are drawn, so that captions need no tagger."""
    if method.caption_words is not None:
        return make_assets(torch.randn(CONCEPTS, WORD).double().numpy())
    if method.caption_ids is None:
        return NO_ASSETS
    return method.assets(settings, AssetSource(records, lambda _: NO_ASSETS, lambda *_: NO_ASSETS))


def make_training(
    name: str,
    changes: Mapping[str, object],
    tiny_changes: Mapping[str, object],
    stage_name: str,
    device: torch.device,
    precision: str,
    tiny: bool,
) -> Work:
    """A step of a stage under the preset `paper`, changed."""
    torch.manual_seed(0)
    method = find_method(name)
    layers = [("paper", method.presets["paper"]), ("here", changes), ("tiny", tiny_changes if tiny else {})]
    settings = resolve(method.settings, layers, "")[0]
    stage = next(stage for stage in method.stages(settings) if stage.name == stage_name)
    count = stage.batch_size * max(BATCHES, stage.bucket)
    uses = method.towers(settings)
    towers = {key: tower_of(use, "text" if key == "text" else "image") for key, use in uses.items()}
    words = sentences(count)
    tags = [tuple(TAGS[n] for n in torch.randint(len(TAGS), (len(post),)).tolist()) for post in words]
    records = [
        Record(str(row), "train", "drawn.jpg", (" ".join(post),), words=post, tags=tags[row])
        for row, post in enumerate(words)
    ]
    assets = drawn_assets(method, settings, records)
    numbers = dict(method.caption_ids(settings, assets, records)) if method.caption_ids else {}
    posts = "tag_ids" in numbers
    if posts:
        numbers["token_ids"], numbers["word_starts"] = towers["text"].module.tokenize_words(words)
    elif "text" in towers:
        numbers["token_ids"] = towers["text"].module.tokenize([record.captions[0] for record in records])
    data = SplitData(records, drawn_images(uses, towers, count), NumberTexts(numbers), posts)
    model = method.with_task(settings, assets).build(settings, towers, assets)
    order = TrainingOrder(data, stage, seed=0)
    accelerator = open_accelerator(device, precision)
    model.to(accelerator.device)
    groups = find_groups(model, stage, fixed_names(model))
    plan = StagePlan(replace(stage, epochs=1000), groups, order, WHOLE, 1000 * order.batches)
    run = StageRun(plan, method, model, 0, accelerator, SINGLE)
    places = order.places((1, 0), plan.stage.epochs)
    reading = partial(read_ahead, data, order, places, 0, pin=device.type == "cuda")
    held = itertools.cycle(list(itertools.islice(reading(), BATCHES)))
    trained = sum(parameter.numel() for parameter in run.parameters.values())
    first = next(held)[0].batch.filled().values()
    return Work(
        partial(take_step, run, itertools.count(), held),
        stage.batch_size,
        ADAMW_BYTES * trained + sum(value.nbytes for value in first),
        [tower.module for tower in towers.values() if tower.module is not None],
        partial(take_step, run, itertools.count(), reading()),
    )


def take_step(run: StageRun, counter: Iterator[int], batches: Iterator[Pieces]) -> None:
    """A step as the trainer takes it."""
    number = next(counter)
    run.set_rates(number, 1.0)
    losses, norm = run.compute_gradients(next(batches), 0.5, number)
    if not (math.isfinite(losses["total"]) and math.isfinite(norm)):
        raise NotFinite(f"loss {losses['total']}, norm of its gradient {norm}, at step {number}")
    run.apply_gradients(norm)


def make_images(name: str, twin: str, device: torch.device, precision: str, tiny: bool) -> Work:
    """Pictures in memory -> the tensors of a shard, as `mmx extract` makes them but for decoding."""
    batch = 4 if tiny else 256
    encoder = freeze(drawn_network(twin if tiny else name, "image")).to(device)
    count, view = BATCHES * batch, encoder.view
    pictures = torch.randint(0, 256, (count, 3, view.height, view.width), dtype=torch.uint8).numpy()
    job, header = _shard(encoder, count, batch, device)

    @torch.inference_mode()
    def call() -> None:
        with autocast(device, precision):
            image_tensors(job, header, iter(pictures), SilentProgress())

    return Work(call, count, pictures.nbytes + BATCHES * _weights(encoder), [encoder])


def make_texts(name: str, twin: str, device: torch.device, precision: str, tiny: bool) -> Work:
    """The same of captions, which are cut into tokens along."""
    batch = 4 if tiny else 512
    encoder = freeze(drawn_network(twin if tiny else name, "text")).to(device)
    count = BATCHES * batch
    captions = [" ".join(words) for words in sentences(count)]
    job, header = _shard(encoder, count, batch, device)

    @torch.inference_mode()
    def call() -> None:
        with autocast(device, precision):
            text_tensors(job, header, captions, SilentProgress())

    return Work(call, count, BATCHES * _weights(encoder), [encoder])


def _shard(encoder: nn.Module, count: int, batch: int, device: torch.device) -> tuple[Job, ShardHeader]:
    fields = ("image_features",) if encoder.modality == "image" else ("text_features",)
    about = (encoder.name, encoder.fingerprint, encoder.modality, "drawn", "drawn", "train", fields)
    header = ShardHeader(*about, encoder.width, first=0, count=count, total=count, shard_records=count)
    return Job(encoder, None, (), batch, 1, False, device), header


def _weights(encoder: nn.Module) -> int:
    return sum(parameter.nbytes for parameter in encoder.parameters())


def make_search(
    rows: int, queries: int, block: int | None, device: torch.device, precision: str, tiny: bool
) -> Work:
    """Ten hits a query among unit vectors on the card, in blocks as mmx has them, or wider ones."""
    rows = rows // 500 if tiny else rows
    vectors = torch.empty(rows, WIDTH, device=device)
    for part in vectors.split(DRAWN_AT_ONCE):
        part.normal_()
        normalize(part, dim=1, out=part)
    asked = normalize(torch.randn(queries, WIDTH, device=device), dim=1)
    blocks = {} if block is None else {"block": block}
    return Work(lambda: top_k(asked, vectors, HITS, **blocks), queries, vectors.nbytes)
