"""A training step of mh-cvse beside a plain build of the same network.

Both have the network of mh-cvse (CVSE with an attention block in either branch): 36 regions of 2048,
captions of Flickr30k's lengths, 300 concepts, width 1024, the same losses and clipping, Adam. A step is
everything from the rows of a batch to new weights; a sample is a pair of an image and a caption.

`plain` is written by us (plain_cvse.py) from descriptions of CVSE's public code (BruceW91/CVSE, commit
94c2191), in its structure: one process; the concepts of a sample are found by going through the records of
all 31,014 images; the vectors of all concepts are made a tensor for each sample and stacked; the graph is
normalised and its network run once for each modality; consensus scores fill tensors of items x concepts x
width; captions come in random order, padded to the longest of their batch. `mmx` is the package's own method
on captions of like length together (the method's buckets of eight batches); with five captions an image is
encoded once for five samples.

Both must give the same loss and the same gradients in float64, on captions of one length (where they differ
in length, padding leaks into the words of `plain`, as in the source). Then every call of a contestant is a
step on its next batch of eight.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace

import numpy
import torch
from torch import Tensor, nn

from benchmarks.plain_cvse import CONCEPTS, FEATURES, REGIONS, WORD, WORDS, Plain
from benchmarks.side_by_side import Contestant, Different, Match, Peer, Row, main
from mmx.core.assets import Assets
from mmx.core.batch import Batch
from mmx.core.discover import find_method
from mmx.core.settings import resolve
from mmx.core.tower import Tower

METHOD = find_method("mh-cvse")
CAPTIONS, POOL, RECORDS = 5, 8, 31_014
CLIP, RATE = 2.0, 2e-4
# Captions of Flickr30k's val and test by their number of words, with start and end: from 6 words on.
COUNTS = """
54 216 469 672 845 926 1022 942 880 748 672 524 396 314 273 211 165 115 89 91
52 76 56 32 28 21 16 21 8 11 6 4 4 4 2 5 2 2 2
"""


def same_weights(plain: Plain, model: nn.Module) -> dict[str, str]:
    """Copy the weights of mmx's model into the plain one; plain name -> mmx's name, to compare gradients."""
    pairs = {"project": "image_branch.embed.project", "embedding": "text_branch.embed.embedding"}
    for modality in ("image", "text"):
        branch, here = f"{modality}_branch", f"{modality}_attention"
        pairs |= {f"{here}.norm": f"{branch}.attend.norm"}
        pairs |= {f"{here}.attention.out_proj": f"{branch}.attend.attention.output"}
        pairs |= {f"{modality}_pooling.part": f"{branch}.pool.part_gate"}
        pairs |= {f"{modality}_pooling.mean": f"{branch}.pool.mean_gate"}
        for part in ("concept", "instance"):
            there = f"{modality}_consensus.{part}"
            pairs |= {there: f"{there}_gate", f"{there}_norm": f"{there}_norm"}
    pairs |= {"image_pooling.mean_norm": "image_branch.pool.mean_norm"}
    names = {f"{a}.{end}": f"{b}.{end}" for a, b in pairs.items() for end in ("weight", "bias")}
    names |= {"graph.inner": "graph.inner", "graph.outer": "graph.outer"}
    names |= {f"{m}_theta": f"{m}_fusion.theta" for m in ("image", "text")}
    names |= {f"{m}_pooling.score.weight": f"{m}_branch.pool.score.weight" for m in ("image", "text")}
    names |= {f"{m}_consensus.score.weight": f"{m}_consensus.score.weight" for m in ("image", "text")}
    names |= {
        f"reader.{name}": f"text_branch.embed.reader.{name}" for name, _ in plain.reader.named_parameters()
    }
    theirs, ours = dict(plain.named_parameters()), dict(model.named_parameters())
    with torch.no_grad():
        for name, value in theirs.items():
            if name in names and names[name] in ours:
                value.copy_(ours[names[name]])
        for modality in ("image", "text"):
            attention, own = (
                getattr(plain, f"{modality}_attention").attention,
                f"{modality}_branch.attend.attention",
            )
            for end in ("weight", "bias"):
                joined = [ours[f"{own}.{part}.{end}"] for part in ("query", "key", "value")]
                getattr(attention, f"in_proj_{end}").copy_(torch.cat(joined))
    return {name: there for name, there in names.items() if name in theirs and there in ours}


@dataclass(frozen=True)
class Data:
    """A training set in memory: regions [N, 36, 2048], five captions an image as word ids and concepts."""

    regions: Tensor
    captions: Sequence[Tensor]
    concepts: Tensor
    records: Sequence[Mapping[str, object]]
    vectors: numpy.ndarray

    def rows_for(self, size: int) -> Tensor:
        """[8 x size] rows of eight batches, in random order."""
        return torch.randperm(POOL * size)

    def by_length(self, rows: Tensor, each: int) -> Tensor:
        """The rows, sorted by the longest of so many captions as the package's loader does."""
        longest = [max(len(self.captions[CAPTIONS * row + k]) for k in range(each)) for row in rows.tolist()]
        return rows[torch.tensor(longest).argsort(stable=True)]

    def padded(self, captions: Tensor) -> tuple[Tensor, Tensor]:
        """Word ids [C, L] padded to the longest, and lengths [C]."""
        chosen = [self.captions[caption] for caption in captions]
        return nn.utils.rnn.pad_sequence(chosen, batch_first=True), torch.tensor([len(ids) for ids in chosen])


def make_data(batch: int, same_length: int | None = None) -> Data:
    """Noise in the real shapes; captions of Flickr30k's lengths, or all of one."""
    random, count = torch.Generator().manual_seed(0), POOL * batch
    shares = torch.tensor([float(count) for count in COUNTS.split()])
    lengths = 6 + torch.multinomial(shares, CAPTIONS * count, replacement=True, generator=random)
    if same_length is not None:
        lengths = torch.full_like(lengths, same_length)
    concepts = torch.randint(0, CONCEPTS, (CAPTIONS * count, 3), generator=random)
    records = [
        {"img_id": str(row), "labels": concepts[CAPTIONS * (row % count)].tolist()} for row in range(RECORDS)
    ]
    return Data(
        torch.rand(count, REGIONS, FEATURES, generator=random),
        [torch.randint(4, WORDS, (length,), generator=random) for length in lengths.tolist()],
        concepts,
        records,
        torch.randn(CONCEPTS, WORD, generator=random).numpy().astype(numpy.float64),
    )


def make_assets(vectors: numpy.ndarray) -> Assets:
    """A vocabulary, and 300 concepts of which each stands with a few others."""
    random = torch.Generator().manual_seed(1)
    counts = torch.randint(300, 3000, (CONCEPTS,), generator=random)
    pairs = (torch.rand(CONCEPTS, CONCEPTS, generator=random) > 0.985).triu(1) * 250
    words = ["<pad>", "<start>", "<end>", "<unk>", *(f"w{place}" for place in range(WORDS - 4))]
    names = [f"c{place}" for place in range(CONCEPTS)]
    forms = {name: place for place, name in enumerate(names)}
    return Assets(
        {
            "vocabulary": {"words": words},
            "concepts": {"words": names, "kinds": ["object"] * CONCEPTS, "forms": forms},
        },
        {
            "concept_counts": counts,
            "concept_pairs": pairs + pairs.T,
            "concept_vectors": torch.from_numpy(vectors).float(),
            "concepts_found": torch.ones(CONCEPTS, dtype=torch.bool),
        },
    )


def make_settings(dropout: float | None) -> object:
    """The paper preset with static weights; with a number, every dropout is that."""
    changes: dict[str, object] = {"balance": "static"}
    if dropout is not None:
        changes |= {"text_dropout": dropout, "attention_dropout": dropout, "gate_dropout": dropout}
    layers = [("paper", METHOD.presets["paper"]), ("benchmark", changes)]
    return resolve(METHOD.settings, layers, "")[0]


def make_models(data: Data, dropout: float | None) -> tuple[nn.Module, Plain]:
    """Both networks with the same weights."""
    torch.manual_seed(0)
    settings = make_settings(dropout)
    model = METHOD.build(settings, {"image": Tower(FEATURES)}, make_assets(data.vectors))
    member = model.members[0]
    plain = Plain(_graph_weights(member, settings), 0.4 if dropout is None else dropout)
    same_weights(plain, member)
    return model.train(), plain.train()


def _graph_weights(member: nn.Module, settings: object) -> Tensor:
    """W of the graph, counted again from the edges of the adjacency; the plain network normalises it."""
    edges = (member.graph.adjacency.T > 0) & ~torch.eye(CONCEPTS, dtype=torch.bool)
    return settings.neighbour_share * edges / edges.sum(0).clamp(min=1) + torch.eye(CONCEPTS)


def mmx_batch(data: Data, rows: Tensor, each: int = 1) -> Batch:
    """What the package's loader gives, with so many captions of each image."""
    captions = (CAPTIONS * rows[:, None] + torch.arange(each)).flatten()
    ids, lengths = data.padded(captions)
    return Batch(
        region_features=data.regions[rows],
        region_mask=torch.ones(len(rows), REGIONS, dtype=torch.bool),
        image_group=rows,
        token_ids=ids,
        token_mask=torch.arange(ids.shape[1]) < lengths[:, None],
        concept_ids=data.concepts[captions],
        text_group=rows.repeat_interleave(each),
    )


def plain_batch(data: Data, rows: Tensor) -> tuple[Tensor, ...]:
    """What the public code's data set and collate give, sample by sample."""
    labels = torch.zeros(len(rows), CONCEPTS)
    for place, row in enumerate(rows.tolist()):
        name = str(row)
        for record in data.records:
            if record["img_id"] == name:
                labels[place, torch.tensor(record["labels"])] = 1.0
    vectors = torch.stack([torch.Tensor(data.vectors) for _ in rows])
    ids, lengths = data.padded(CAPTIONS * rows)
    return torch.stack([data.regions[row] for row in rows]), ids, lengths, vectors, labels


def check_equal(batch: int = 16) -> dict[str, float]:
    """Loss and gradients of both in float64; exits where they differ."""
    data = make_data(batch, same_length=12)
    model, plain = make_models(data, dropout=0.0)
    model, plain = model.double(), plain.double()
    rows = torch.arange(batch)
    ours = replace(mmx_batch(data, rows), region_features=data.regions[rows].double())
    regions, ids, lengths, vectors, labels = plain_batch(data, rows)
    theirs = (regions.double(), ids, lengths, vectors.double(), labels.double())
    total = METHOD.loss(model, ours, 0.5)["total"] * batch  # means there, sums here
    other = plain(*theirs)
    total.backward()
    other.backward()
    member = model.members[0]
    names, mine = same_weights(plain, member), dict(member.named_parameters())
    pairs = [(mine[there].grad, dict(plain.named_parameters())[name].grad) for name, there in names.items()]
    norm = sum(theirs.square().sum() for _, theirs in pairs).sqrt()
    apart = sum((ours - theirs).square().sum() for ours, theirs in pairs).sqrt()
    found = {
        "relative_difference_of_loss": abs(total.item() / other.item() - 1),
        "relative_difference_of_gradient": (apart / norm).item(),
        "tensors_compared": len(pairs),
    }
    if max(found["relative_difference_of_loss"], found["relative_difference_of_gradient"]) > 1e-6:
        raise Different(f"the two networks: {found}")
    return found


def mmx_step(model: nn.Module, optimizer: torch.optim.Optimizer, batch: Batch, bf16: bool = False) -> None:
    """A step as the package's trainer takes it."""
    optimizer.zero_grad(set_to_none=True)
    with torch.autocast("cpu", torch.bfloat16) if bf16 else nullcontext():
        total = METHOD.loss(model, batch, 0.5)["total"]
    total.backward()
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    norm = torch.nn.utils.get_total_norm(gradients).item()
    if norm > CLIP:
        torch._foreach_mul_(gradients, CLIP / norm)
    optimizer.step()


def plain_step(model: nn.Module, optimizer: torch.optim.Optimizer, batch: tuple[Tensor, ...]) -> None:
    """A step as the public code takes it."""
    total = model(*batch)
    optimizer.zero_grad()
    total.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
    optimizer.step()


def steps(step: Callable[[Tensor], None], batches: Sequence[Tensor]) -> Callable[[], None]:
    """Each call is a step on the next of the batches."""
    turn = itertools.cycle(batches)
    return lambda: step(next(turn))


def make(quick: bool) -> Match:
    """Eight batches that all learn from, each contestant with a model of its own."""
    size = 8 if quick else 128
    figures, data = check_equal(), make_data(size)
    model, plain = make_models(data, dropout=None)
    ours = torch.optim.AdamW(model.parameters(), RATE, weight_decay=0.0, fused=True)
    theirs = torch.optim.Adam(plain.parameters(), RATE)
    rows = data.rows_for(size)
    mixed, alike = rows.split(size), data.by_length(rows, 1).split(size)
    together = data.by_length(rows, CAPTIONS).split(size)

    def by_mmx(rows: Tensor, each: int = 1, bf16: bool = False) -> None:
        mmx_step(model, ours, mmx_batch(data, rows, each), bf16)

    def by_plain(rows: Tensor) -> None:
        plain_step(plain, theirs, plain_batch(data, rows))

    def beside(name: str, work: Callable[[], None], share: float = 1.0) -> Peer:
        return Peer(name, work, compare=lambda *_: {}, origin="mmx otherwise", share=share, rounds=3)

    return Contestant("mmx", steps(by_mmx, alike)), [
        Peer("plain", steps(by_plain, mixed), compare=lambda *_: figures, origin="transcribed", faster=1.5),
        beside("captions in random order", steps(by_mmx, mixed)),
        beside(
            "an image with its five captions",
            steps(lambda rows: by_mmx(rows, CAPTIONS), together),
            share=1 / CAPTIONS,
        ),
        beside("bf16", steps(lambda rows: by_mmx(rows, bf16=True), alike)),
    ]


ROWS = [
    Row(
        "mh-cvse-step",
        "mh-cvse training step, batch 128",
        make,
        rounds=8,
        seconds=120.0,
        note="Compared in float64. Most of a step are products of matrices that both share.",
    )
]

if __name__ == "__main__":
    main(__file__, ROWS)
