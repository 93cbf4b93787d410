"""Tagging of posts: loss and decoding of the conditional random field, and F1 of entities.

pytorch-crf and seqeval run as published. F1 is of Twitter-2015's validation posts where `$MMX_TEST_DATA`
has them, its tags against the same with every ninth word's changed by chance; mmx counts by seqeval's own
rules, once a post, so that intervals and paired tests need no second look.
"""

import os
import random
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.side_by_side import Contestant, Different, Match, Peer, Row, main
from mmx.methods.muse.crf import Crf
from mmx.tasks.span_f1 import count_spans, span_metrics

POSTS, WORDS, TAGS = 32, 128, 11
DATA = Path(os.environ.get("MMX_TEST_DATA", "../shared/data")) / "twitter_mner"


def same_crf() -> tuple[Crf, object, Tensor, Tensor]:
    """Both fields with the same numbers, emissions [C, W, K] and a mask of posts of 10 to 128 words."""
    from torchcrf import CRF

    ours, theirs = Crf(TAGS), CRF(TAGS, batch_first=True)
    pairs = ("start", "start_transitions"), ("end", "end_transitions"), ("transitions", "transitions")
    with torch.no_grad():
        for mine, name in pairs:
            getattr(theirs, name).copy_(getattr(ours, mine))
    lengths = torch.randint(10, WORDS + 1, (POSTS,))
    lengths[0] = WORDS
    return ours, theirs, torch.randn(POSTS, WORDS, TAGS), torch.arange(WORDS) < lengths[:, None]


def make_loss(quick: bool) -> Match:
    """The loss of a batch and all its gradients."""
    ours, theirs, drawn, mask = same_crf()
    emissions, tags = drawn.requires_grad_(), torch.randint(0, TAGS, (POSTS, WORDS))

    def learned(total: Tensor) -> tuple[Tensor, Tensor]:
        emissions.grad = None
        total.backward()
        return total.detach(), emissions.grad

    def close(mine: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> Mapping[str, float]:
        loss = float((mine[0] - other[0]).abs() / other[0])
        slope = float((mine[1] - other[1]).abs().max())
        if loss > 1e-5 or slope > 1e-3:
            raise Different(f"losses {loss} apart, gradients {slope}")
        return {"loss, relative": loss, "gradient": slope}

    return Contestant("mmx", lambda: learned(ours.nll(emissions, tags, mask).sum())), [
        Peer(
            "pytorch-crf",
            lambda: learned(-theirs(emissions, tags, mask, reduction="sum")),
            compare=close,
            origin="as published",
            faster=1.3,
        )
    ]


def make_decode(quick: bool) -> Match:
    """The best tags of each post, as lists."""
    ours, theirs, emissions, mask = same_crf()

    @torch.no_grad()
    def by_mmx() -> list[list[int]]:
        rows = zip(ours.decode(emissions, mask).tolist(), mask.sum(1).tolist(), strict=True)
        return [tags[:length] for tags, length in rows]

    def equal(mine: list[list[int]], other: list[list[int]]) -> Mapping[str, float]:
        if mine != other:
            raise Different("not the same tags")
        return {"same paths": len(mine)}

    peer = torch.no_grad()(lambda: theirs.decode(emissions, mask))
    return Contestant("mmx", by_mmx), [
        Peer("pytorch-crf", peer, compare=equal, origin="as published", faster=1.5)
    ]


def read_tags() -> list[list[str]]:
    """The tags of each post of Twitter-2015's validation list; drawn ones where it is not to be had."""
    path = next(iter(sorted(DATA.glob("twitter2015/valid.txt"))), None)
    if path is None:
        raise FileNotFoundError(f"there are no posts in '{DATA}'; $MMX_TEST_DATA names their place")
    posts = path.read_text(encoding="utf-8").split("\n\n")
    rows = [[line.split("\t") for line in post.splitlines()] for post in posts]
    tagged = [[cells[1] for cells in row if len(cells) == 2] for row in rows]
    return [tags for tags in tagged if tags]


def make_f1(quick: bool) -> Match:
    """Micro-averaged F1 of all posts, by conlleval's rule."""
    gold = read_tags()[: 50 if quick else None]
    draw, known = random.Random(0), sorted({tag for tags in gold for tag in tags})
    said = [[draw.choice(known) if draw.random() < 1 / 9 else tag for tag in tags] for tags in gold]

    def by_seqeval() -> float:
        from seqeval.metrics import f1_score

        return 100 * float(f1_score(gold, said))

    def equal(mine: float, theirs: float) -> Mapping[str, float]:
        if abs(mine - theirs) > 1e-9:
            raise Different(f"{mine} and {theirs}")
        return {"F1": mine}

    return Contestant("mmx", lambda: span_metrics(count_spans(gold, said, "conll"))["f1"]), [
        Peer("seqeval", by_seqeval, compare=equal, origin="as published")
    ]


ROWS = [
    Row(
        "crf-loss",
        "CRF loss with its gradients, 32 x 128 x 11",
        make_loss,
        packages=("pytorch-crf",),
        note="Sums by scaled products instead of a log-sum-exp of [posts, tags, tags] a word.",
    ),
    Row(
        "crf-decode",
        "CRF decoding, 32 x 128 x 11",
        make_decode,
        packages=("pytorch-crf",),
        note="Goes back through all posts at once.",
    ),
    Row(
        "entity-f1",
        "F1 of entities, Twitter-2015 val",
        make_f1,
        packages=("seqeval",),
        note="No floor: spans are found by seqeval itself, whose cost is nothing beside a model's.",
    ),
]

if __name__ == "__main__":
    main(__file__, ROWS)
