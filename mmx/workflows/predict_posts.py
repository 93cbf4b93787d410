"""What a trained run says of new posts: the entities in their words, or their sentiment."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mmx.core.device import find_device
from mmx.core.encoder import ImageEncoder
from mmx.core.errors import UsageError
from mmx.core.home import Home
from mmx.core.reporter import Reporter
from mmx.core.task import PostTask, Tagging
from mmx.encoders.batch_norm import freeze
from mmx.encoders.load import load_encoder
from mmx.engine.label_split import TaggedPost, sort_split, tag_split
from mmx.engine.pictures import encode_pictures
from mmx.engine.split_data import ImageSource, PixelImages, SplitData
from mmx.store.run import find_run
from mmx.tasks.span_f1 import OUTSIDE, find_spans
from mmx.workflows.opened_run import OpenedRun, open_run
from mmx.workflows.post_data import post_images, post_texts
from mmx.workflows.post_rows import NewPost, read_posts

SCHEMA = "mmx.predict-posts/1"
BATCH = 32


@dataclass(frozen=True)
class Entity:
    """A name found in a post."""

    type: str
    text: str
    begin: int
    """First letter, from 0, in the post's text."""
    end: int
    """Letter after the last."""
    score: float
    """The least probable of its words' tags, from 0 to 1."""


@dataclass(frozen=True)
class PostPrediction:
    """What a run says of one post."""

    id: str
    text: str
    image: str
    """`read`, `none`, or why the picture that was named could not be read."""
    entities: tuple[Entity, ...] | None = None
    unread_words: int = 0
    """Words beyond the run's limit, in which no entity is looked for."""
    sentiment: str | None = None
    probabilities: Mapping[str, float] | None = None


@dataclass(frozen=True)
class PostPredictions:
    """What a run says of the posts of one file."""

    run: str
    task: str
    posts: tuple[PostPrediction, ...]

    def document(self) -> dict[str, Any]:
        """The predictions as one JSON document."""
        kept = "entities" if self.task == "tagging" else "sentiment"
        dropped = {"entities": ("sentiment", "probabilities"), "sentiment": ("entities", "unread_words")}[
            kept
        ]
        posts = [asdict(post) for post in self.posts]
        rows = [{name: value for name, value in post.items() if name not in dropped} for post in posts]
        return {"schema": SCHEMA, "run": self.run, "task": self.task, "posts": rows}


@dataclass(frozen=True)
class EncodedPictures:
    """Pictures through a frozen encoder when they are asked for."""

    pixels: PixelImages
    encoder: ImageEncoder
    fields: tuple[str, ...]
    device: torch.device

    def read(self, rows: Tensor, variants: Sequence[int] | None) -> dict[str, Tensor]:
        """[B] -> the fields, float32 of the precision that stored features have."""
        pixels = self.pixels.read(rows, None)["pixels"]
        found = encode_pictures(self.encoder, pixels, self.device, mirrored=False)
        return {field: found[field].half().float().cpu() for field in self.fields}


def predict_posts(run: Path, file: Path, home: Home, device_name: str, reporter: Reporter) -> PostPredictions:
    """Label the posts of a table; see `post_rows.read_posts` for its columns.

    Raises:
        UsageError: when the run labels no posts.
        ArtifactError: when the run or its weights are not there.
        DataError: when the file is no table of posts, or a row of it is broken.
    """
    device = find_device(device_name)
    folder = find_run(run, home.runs)
    posts = read_posts(file)
    opened = open_run(folder.path, home, device)
    task = opened.fitted.task
    if not isinstance(task, PostTask):
        raise UsageError(f"'{folder.path}' does not label posts. See what there is: mmx runs")
    _warn(posts, opened, reporter)
    names = task.labels(opened.fitted.assets)
    told = (_data(opened, posts, device), device, BATCH, opened.precision(device), reporter)
    with torch.inference_mode():
        if isinstance(task, Tagging):
            found = tag_split(opened.model, task, *told)
            said = [_tagged(post, tags, names) for post, tags in zip(posts, found, strict=True)]
        else:
            found = sort_split(opened.model, task, *told)
            said = [_sorted(post, row, names) for post, row in zip(posts, found.tolist(), strict=True)]
    return PostPredictions(str(folder.path), task.name, tuple(said))


def _warn(posts: Sequence[NewPost], opened: OpenedRun, reporter: Reporter) -> None:
    broken = [post.problem for post in posts if post.problem]
    if broken:
        reporter.warn(
            f"{len(broken)} of {len(posts)} posts are read without their picture, the first: {broken[0]}"
        )
    if "image" not in opened.uses and any(post.picture for post in posts):
        reporter.warn(f"'{opened.folder.path}' reads no pictures: those of the posts are passed over")


def _data(opened: OpenedRun, posts: Sequence[NewPost], device: torch.device) -> SplitData:
    """New posts, read as the run's towers need them."""
    records, paths = [post.record for post in posts], [post.picture for post in posts]
    pictures: ImageSource | None = None
    if "image" in opened.uses and any(paths):
        use, module = opened.uses["image"], opened.towers["image"].module
        encoder: nn.Module = module or freeze(load_encoder(use.encoder, "image")).to(device)
        pictures = PixelImages(paths, encoder.view)
        if module is None:
            pictures = EncodedPictures(pictures, encoder, use.features, device)
    images = post_images(paths, pictures, opened.uses.get("image"))
    tower = opened.towers["text"].module if "text" in opened.towers else None
    return SplitData(records, images, post_texts(opened.fitted, tower, records), posts=True)


def _tagged(post: NewPost, found: TaggedPost, names: Sequence[str]) -> PostPrediction:
    tags = [OUTSIDE if tag < 0 else names[tag] for tag in found.tags]
    entities = []
    for kind, first, after in find_spans(tags, "conll"):
        begin, end = post.spans[first][0], post.spans[after - 1][1]
        entities.append(
            Entity(kind, post.text[begin:end], begin, end, round(min(found.scores[first:after]), 4))
        )
    unread = sum(tag < 0 for tag in found.tags)
    return PostPrediction(post.record.id, post.text, _image(post), tuple(entities), unread)


def _sorted(post: NewPost, row: Sequence[float], names: Sequence[str]) -> PostPrediction:
    probabilities = {name: round(value, 4) for name, value in zip(names, row, strict=True)}
    best = max(zip(row, names, strict=True))[1]
    return PostPrediction(
        post.record.id, post.text, _image(post), sentiment=best, probabilities=probabilities
    )


def _image(post: NewPost) -> str:
    return post.problem or ("none" if post.picture is None else "read")
