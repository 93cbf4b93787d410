"""Recall metrics, from the embeddings to the recalls at 1, 5 and 10 of both directions.

CLIP_benchmark runs as published: its `evaluate` over a model that hands the embeddings on. The loops of VSE++
(a query at a time) and of vse_infty (the whole score matrix, then its rows and columns in turn) are
transcribed by us; both hold float64, as their code does. Float32 may swap two neighbours, so that recalls
may lie a fifth of a percent apart.
"""

from collections.abc import Mapping
from functools import partial
from types import SimpleNamespace

import numpy
import torch
from torch import Tensor
from torch.nn.functional import normalize

from benchmarks.side_by_side import Contestant, Different, Match, Peer, Row, main, not_compared
from mmx.tasks.recall import CUTOFFS, ranks

CAPTIONS, WIDTH = 5, 1024
CLIP_BATCH = 64
"""Images of a batch, CLIP_benchmark's default."""
MOST_APART = 0.2


def draw(images: int) -> tuple[Tensor, Tensor]:
    """Five captions near their image, so that ranks spread as those of a trained model do."""
    image = normalize(torch.randn(images, WIDTH), dim=1)
    noise = torch.randn(images * CAPTIONS, WIDTH) * (9.0 / WIDTH**0.5)
    return image, normalize(image.repeat_interleave(CAPTIONS, 0) + noise, dim=1)


def recalls(i2t: numpy.ndarray, t2i: numpy.ndarray) -> list[float]:
    """The six numbers, 0..1, of ranks from 0."""
    return [float((found < k).mean()) for found in (i2t, t2i) for k in CUTOFFS]


def by_mmx(image: Tensor, text: Tensor) -> list[float]:
    """The product's own function."""
    groups = torch.arange(len(image))
    found = ranks(image, text, groups, groups.repeat_interleave(CAPTIONS))
    return recalls(found.i2t.numpy(), found.t2i.numpy())


def by_clip_benchmark(image: Tensor, text: Tensor) -> list[float]:
    """CLIP_benchmark's evaluation; a batch is some images, and for each the places of its captions."""
    from clip_benchmark.metrics import zeroshot_retrieval

    zeroshot_retrieval.tqdm = iter  # without its progress bar
    places = torch.arange(len(text)).view(-1, CAPTIONS).split(CLIP_BATCH)
    batches = list(zip(image.split(CLIP_BATCH), (some.tolist() for some in places), strict=True))
    model = SimpleNamespace(encode_image=lambda batch: batch, encode_text=lambda batch: text[batch])
    found = zeroshot_retrieval.evaluate(model, batches, torch.tensor, "cpu", amp=False, recall_k_list=CUTOFFS)
    return [found[f"{side}_retrieval_recall@{k}"] for side in ("text", "image") for k in CUTOFFS]


def by_vsepp(images: numpy.ndarray, texts: numpy.ndarray) -> list[float]:
    """A query at a time: product with the gallery, argsort, and a search for the right rows."""
    i2t, t2i = numpy.zeros(len(images)), numpy.zeros(len(texts))
    for i in range(len(images)):
        own = range(CAPTIONS * i, CAPTIONS * (i + 1))
        order = numpy.argsort(images[i] @ texts.T)[::-1]
        i2t[i] = min(numpy.where(order == j)[0][0] for j in own)
        scores = texts[CAPTIONS * i : CAPTIONS * (i + 1)] @ images.T
        for k in range(CAPTIONS):
            t2i[CAPTIONS * i + k] = numpy.where(numpy.argsort(scores[k])[::-1] == i)[0][0]
    return recalls(i2t, t2i)


def by_vse_infty(images: numpy.ndarray, texts: numpy.ndarray) -> list[float]:
    """The whole score matrix first, then a loop of argsorts over its rows and columns."""
    scores = images @ texts.T
    i2t, t2i = numpy.zeros(len(images)), numpy.zeros(len(texts))
    for i in range(len(images)):
        order = numpy.argsort(scores[i])[::-1]
        i2t[i] = min(numpy.where(order == j)[0][0] for j in range(CAPTIONS * i, CAPTIONS * (i + 1)))
    for j in range(len(texts)):
        t2i[j] = numpy.where(numpy.argsort(scores.T[j])[::-1] == j // CAPTIONS)[0][0]
    return recalls(i2t, t2i)


def compare(mine: list[float], theirs: list[float]) -> Mapping[str, float]:
    """Points of percent that the six recalls lie apart at most."""
    apart = 100 * max(abs(a - b) for a, b in zip(mine, theirs, strict=True))
    if apart > MOST_APART:
        raise Different(f"recalls {mine} and {theirs}")
    return {"points apart": apart}


def entered(image: Tensor, text: Tensor, floors: tuple[float, float], smaller: float | None = None) -> Match:
    """What both rows hold: mmx and two peers, with the floors of their times and of vse_infty's memory."""
    doubles = image.double().numpy(), text.double().numpy()
    clip, loop = partial(by_clip_benchmark, image, text), partial(by_vse_infty, *doubles)
    return Contestant("mmx", partial(by_mmx, image, text)), [
        Peer("CLIP_benchmark", clip, compare=compare, origin="as published", faster=floors[0]),
        Peer(
            "vse_infty's loop",
            loop,
            compare=compare,
            origin="transcribed",
            faster=floors[1],
            smaller=smaller,
        ),
    ]


def make_small(quick: bool) -> Match:
    """1,000 images and 5,000 captions."""
    image, text = draw(50 if quick else 1000)
    loop = partial(by_vsepp, image.double().numpy(), text.double().numpy())
    product = partial(torch.mm, image, text.T, out=torch.empty(len(image), len(text)))
    ours, peers = entered(image, text, (7, 4))
    return ours, [
        *peers,
        Peer("VSE++'s loop", loop, compare=compare, origin="transcribed", faster=20),
        Peer("the product alone", product, compare=not_compared, origin="limit", within=1.6),
    ]


def make_large(quick: bool) -> Match:
    """5,000 images and 25,000 captions, with memory."""
    return entered(*draw(50 if quick else 5000), (10, 4.5), smaller=10)


ROWS = [
    Row(
        "recall-1k",
        "recall metrics, 1,000 x 5,000, d 1024",
        make_small,
        packages=("clip-benchmark",),
        note="The product is made in bfloat16, at twice the rate of the float32 limit on this processor; "
        "what lies within its greatest error of a right answer is scored again in float64, so that "
        "ranks are those of float64. In float32 throughout, as on processors without such "
        "instructions: 7.8, 3.8 and 26 times as fast, 1.22 of the limit. CLIP_benchmark takes 0.4 to "
        "1.1 s, from run to run.",
    ),
    Row(
        "recall-5k",
        "recall metrics, 5,000 x 25,000, d 1024",
        make_large,
        rounds=3,
        memory=True,
        packages=("clip-benchmark",),
        note="Three fifths of mmx's time are products, a fifth the 1 in 300 pairs that are scored again. "
        "In float32 throughout: 5.6 and 4.3 times as fast.",
    ),
]

if __name__ == "__main__":
    main(__file__, ROWS)
