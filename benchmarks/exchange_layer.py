"""Time of muse's exchange beside a plain loop over posts and tokens, and of the parts of a training step.

    python benchmarks/exchange_layer.py [--repeats 5] [--batch 40] [--width 768] [--threads 1]

The loop is the published structure, written anew: for every post and every token it asks whether the class
token looks at it less than at the quantile, and then adds the other modality's mean. Both sides are given the
same attention and the same tokens, and their results are compared before they are timed. Contestants take
turns; median and spread are printed. Numbers are of this machine, without the waits for a GPU that each
question of the loop is there.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from mmx.core.assets import Assets
from mmx.core.batch import Batch
from mmx.core.settings import resolve
from mmx.core.tower import Tower
from mmx.methods.muse import METHOD
from mmx.methods.muse.captioner import caption_loss
from mmx.methods.muse.cross_transformer import CrossTransformer, Sequence
from mmx.methods.muse.exchange import add_exchange, least_attended, mean_of
from mmx.methods.muse.model import Muse
from mmx.methods.muse.settings import MuseSettings

TOKENS, SIDE, THETA = 64, 32, 0.1
GOAL = 20.0
TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-ORG", "I-ORG", "B-MISC", "I-MISC"]
WORDS = 3000


def say(line: str) -> None:
    """A line of the tables."""
    sys.stdout.write(f"{line}\n")


Sides = tuple[Tensor, Tensor]
Exchange = Callable[[Sides, Tensor, Tensor], list[Tensor]]


def loop(sides: Sides, looked: Tensor, mask: Tensor) -> list[Tensor]:
    """Words and pictures [B, K, D] each, [2, B, K], [B, K] -> both after the exchange, token by token."""
    return [_loop_over(own, other, seen) for own, other, seen in zip(sides, sides[::-1], looked, strict=True)]


def _loop_over(own: Tensor, other: Tensor, attention: Tensor) -> Tensor:
    changed = own.clone()
    for post in range(own.shape[0]):
        threshold = torch.quantile(attention[post], THETA)
        for token in range(own.shape[1]):
            if attention[post][token].item() < threshold.item():
                changed[post][token] = own[post][token] + torch.mean(other[post], dim=0)
    return changed


def ours(sides: Sides, looked: Tensor, mask: Tensor) -> list[Tensor]:
    """The same, all at once; the sides are changed, as the states within a layer may be."""
    means = [mean_of(other, mask) for other in sides[::-1]]
    chosen = [least_attended(seen, mask, THETA, "quantile") for seen in looked]
    return [add_exchange(*side) for side in zip(sides, chosen, means, strict=True)]


def timed(functions: dict[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Milliseconds of each function, which take turns."""
    found: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(repeats + 1):
        for name, function in functions.items():
            begun = time.perf_counter()
            function()
            found[name].append(1e3 * (time.perf_counter() - begun))
    return {name: times[1:] for name, times in found.items()}


def compare(batch: int, width: int, repeats: int) -> None:
    """The exchange alone, both ways: that of words and that of pictures."""
    torch.manual_seed(0)
    sides = tuple(torch.randn(2, batch, TOKENS, width).unbind())
    given = torch.rand(2, batch, TOKENS), torch.ones(batch, TOKENS, dtype=torch.bool)
    pairs = zip(loop(sides, *given), ours(_copies(sides), *given), strict=True)
    difference = max((one - other).abs().max().item() for one, other in pairs)
    learned = tuple(side.clone().requires_grad_(True) for side in sides)

    def within(exchange: Exchange) -> Callable[[], object]:
        return torch.no_grad()(lambda: exchange(sides, *given))

    def learning(exchange: Exchange) -> Callable[[], None]:
        def step() -> None:
            torch.autograd.backward([side.sum() for side in exchange(_copies(learned), *given)])

        return step

    say(f"one exchange, batch {batch}, {TOKENS} + {TOKENS} tokens, width {width}, {repeats} repeats")
    for title, way in (("in evaluation", within), ("in training, with its gradient", learning)):
        times = timed({"loop": way(loop), "ours": way(ours)}, repeats)
        medians = {name: statistics.median(values) for name, values in times.items()}
        say(title)
        for name, values in times.items():
            say(f"  {name:<6} {medians[name]:9.2f} ms   ({min(values):.2f} to {max(values):.2f})")
        say(f"  {medians['loop'] / medians['ours']:.1f} times as fast (goal {GOAL:.0f})")
    say(f"largest difference {difference:.1e}")


def _copies(sides: Sides) -> Sides:
    return sides[0].clone(), sides[1].clone()


class WordVectors(nn.Module):
    """In a text encoder's place: a vector for each token. The encoders are not what is timed here."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.words = nn.Embedding(1000, width)

    def forward(self, token_ids: Tensor, token_mask: Tensor) -> dict[str, Tensor]:
        """[C, L], [C, L] -> token_features [C, L, D], text_features [C, D]."""
        tokens = self.words(token_ids)
        return {"token_features": tokens, "text_features": mean_of(tokens, token_mask)}


def make_model(**changes: object) -> Muse:
    """The published structure over vectors of its own width."""
    named = {
        "paper": METHOD.presets["paper"],
        "test": {"train_image": False, "image_blocks": None, **changes},
    }
    settings = resolve(MuseSettings, list(named.items()), "")[0]
    values = {
        "task": "tagging",
        "labels": TAGS,
        "letters": "abc",
        "vocabulary": {"words": ["<pad>", "<start>", "<end>", "<unk>", *(f"w{n}" for n in range(WORDS))]},
    }
    towers = {"text": Tower(settings.width, WordVectors(settings.width)), "image": Tower(2048)}
    return Muse(settings, towers, Assets(values)).train()


def make_batch(posts: int) -> Batch:
    """Posts of 64 tokens, 40 words and 18 spoken words, each with a picture."""
    places = torch.arange(1, 41).expand(posts, -1)
    return Batch(
        token_ids=torch.randint(0, 1000, (posts, TOKENS)),
        token_mask=torch.ones(posts, TOKENS, dtype=torch.bool),
        word_starts=places,
        tag_ids=torch.randint(0, len(TAGS), places.shape),
        spoken_ids=torch.randint(4, WORDS, (posts, 18)),
        patch_features=torch.randn(posts, 49, 2048),
        thumbnails=torch.randint(0, 256, (posts, 3, SIDE, SIDE), dtype=torch.uint8),
        image_mask=torch.ones(posts, dtype=torch.bool),
        image_group=torch.arange(posts),
        text_group=torch.arange(posts),
    )


def parts(posts: int, repeats: int) -> None:
    """What a training step of the published structure spends beside its encoders."""
    torch.manual_seed(0)
    model, batch = make_model(), make_batch(posts)
    text, pooled, image = model.read(batch)
    state = [Sequence(found.tokens.detach(), found.mask) for found in (text, image)]
    plain = CrossTransformer(make_model(theta=0.0).settings).train()
    fused = model.fuse(text, pooled, image)
    regularisers = model.regularisers
    emissions, mask = model.head.emissions(batch, fused)
    emissions = emissions.detach().requires_grad_(True)
    vector, pixels = torch.randn(posts, model.settings.width), batch.thumbnails.float() / 127.5 - 1
    steps = {
        "cross transformer, no exchange": lambda: sum(side.sum() for side in plain(*state)).backward(),
        "cross transformer": lambda: sum(side.sum() for side in model.fusion.cross(*state)).backward(),
        "random field": lambda: model.head.crf.nll(emissions, batch.tag_ids, mask).mean().backward(),
        "captioner": lambda: caption_loss(
            **regularisers.captioner.nll(state[1].tokens, state[1].mask, batch.spoken_ids)
        ).backward(),
        "pixel network": lambda: regularisers.pixels(pixels, vector).sum().backward(),
        "whole step, without encoders": lambda: METHOD.loss(model, batch, 0.0)["total"].backward(),
    }
    times = timed(steps, repeats)
    say(f"a training step's parts, forward and backward, batch {posts}, published sizes")
    for name, values in times.items():
        say(f"  {name:<32} {statistics.median(values):9.0f} ms   ({min(values):.0f} to {max(values):.0f})")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--batch", type=int, default=40)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--step-batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    compare(asked.batch, asked.width, asked.repeats)
    parts(asked.step_batch, min(asked.repeats, 3))


if __name__ == "__main__":
    main()
