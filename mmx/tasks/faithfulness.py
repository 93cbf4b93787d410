"""Whether regions with much weight matter to a score: what is lost without them, and without any others.

Source: the deletion test of arXiv 1509.06321, over regions; the comparison with random regions of the same
number, as a one-sided randomisation test, is ours.
Shapes: N pairs, R regions, S shares, D random draws, V variants of a mask.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

SHARES = (0.1, 0.2, 0.3)
DRAWS = 20
LEVEL = 0.05

DEFINITION = (
    "Faithfulness: the drop of a pair's score when the regions with most weight are masked, against masking "
    f"as many random ones ({DRAWS} draws). p = (1 + draws whose mean drop over the pairs is as large) / "
    f"({DRAWS} + 1); above random where p is at most {LEVEL}."
)

Score = Callable[[Tensor], Tensor]
"""region_mask [V, R] bool -> the pair's score under each [V] float32."""


@dataclass(frozen=True)
class Drops:
    """What one pair loses by masking; row s of each for share s of its regions."""

    score: float
    top: Tensor
    """[S] drop without the regions with most weight."""
    random: Tensor
    """[S, D] drop without random ones, draw by draw."""


@dataclass(frozen=True)
class Comparison:
    """What pairs lose on average without a share of their regions."""

    share: float
    top: float
    """Mean drop without the regions with most weight."""
    random: float
    """Mean drop without random ones."""
    p: float
    """(1 + draws whose mean drop is at least `top`) / (1 + draws)."""
    pairs_above: float
    """Share 0..1 of the pairs that lose more than the mean of their own random draws."""

    @property
    def above_random(self) -> bool:
        """Whether the weights point at what matters more than chance does."""
        return self.p <= LEVEL


@dataclass(frozen=True)
class Faithfulness:
    """The comparisons for each share of the regions, over the pairs that could be measured."""

    pairs: int
    left_out: int
    """Pairs with fewer than two regions, of which none can be masked."""
    score: float
    """Mean score of the pairs."""
    comparisons: tuple[Comparison, ...]

    def document(self) -> dict[str, Any]:
        """For JSON; documented in docs/json.md."""
        return {
            "pairs": self.pairs,
            "left_out": self.left_out,
            "score": self.score,
            "draws": DRAWS,
            "masked": [
                {**vars(comparison), "above_random": comparison.above_random}
                for comparison in self.comparisons
            ],
            "definition": DEFINITION,
        }


def measure_drops(
    score: Score, weights: Tensor, mask: Tensor, seed: int, shares: Sequence[float] = SHARES
) -> Drops | None:
    """One pair: weights [R] (more is more), region_mask [R] -> its drops; None with fewer than two regions.

    Of n regions round(share n) are masked, at least one and never all; equal weights go by place.
    """
    there = mask.nonzero().flatten()
    if len(there) < 2:
        return None
    random = torch.Generator().manual_seed(seed)
    falling = there[weights[there].argsort(descending=True, stable=True)]
    orders = [falling, *(there[torch.randperm(len(there), generator=random)] for _ in range(DRAWS))]
    variants = [mask]
    for share in shares:
        count = min(max(1, round(share * len(there))), len(there) - 1)
        variants += [mask.index_fill(0, order[:count], False) for order in orders]
    scores = score(torch.stack(variants)).double()
    drops = (scores[0] - scores[1:]).view(len(shares), len(orders))
    return Drops(float(scores[0]), drops[:, 0], drops[:, 1:])


def compare(found: Sequence[Drops | None], shares: Sequence[float] = SHARES) -> Faithfulness | None:
    """The drops of all pairs, None where one could not be measured -> their means; None where none could."""
    measured = [drops for drops in found if drops is not None]
    if not measured:
        return None
    top = torch.stack([drops.top for drops in measured])
    random = torch.stack([drops.random for drops in measured])
    comparisons = tuple(
        _comparison(share, top[:, place], random[:, place]) for place, share in enumerate(shares)
    )
    mean = sum(drops.score for drops in measured) / len(measured)
    return Faithfulness(len(measured), len(found) - len(measured), mean, comparisons)


def _comparison(share: float, top: Tensor, random: Tensor) -> Comparison:
    """A share, drops [N], drops [N, D]."""
    as_large = int((random.mean(dim=0) >= top.mean()).sum())
    return Comparison(
        share=share,
        top=float(top.mean()),
        random=float(random.mean()),
        p=(1 + as_large) / (1 + random.shape[1]),
        pairs_above=float((top > random.mean(dim=1)).double().mean()),
    )


def said(found: Faithfulness | None) -> tuple[str, ...]:
    """The comparison in sentences, a share each; what is not above random is said to be so."""
    if found is None:
        return ("Faithfulness cannot be measured: no picture has two regions or more.",)
    left_out = f" ({found.left_out:,} left out, with fewer than two regions)" if found.left_out else ""
    pairs = f"{found.pairs:,} pair{'s' if found.pairs > 1 else ''}{left_out}"
    return (
        f"Faithfulness over {pairs} with a mean score of {found.score:.3f}:",
        *(
            f"without the {row.share:.0%} of regions with most weight it {_falls(row.top)}, without as many "
            f"random ones it {_falls(row.random)}: "
            f"{'above' if row.above_random else 'NOT above'} random (p = {row.p:.3f})."
            for row in found.comparisons
        ),
    )


def _falls(drop: float) -> str:
    return f"rises by {-drop:.4f}" if drop < 0 else f"falls by {drop:.4f}"
