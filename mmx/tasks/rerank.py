"""Second-stage retrieval: ranks by cosine + weight x fine, over all pairs or over each query's nearest only.

Source: seed 004, "Inference"; ties, and what becomes of the answers outside the nearest, are ours.
Shapes: N images, C captions, G images and Q captions of a block, W weights, P pairs, R relevant pairs.

Cosines are float64, fine scores are what they are given as, and two sums that differ by no more than the
rounding of either are a tie. So a block's size and the order of the items change no rank, and a model that
gives one score to everything scores 0. Besides the inputs, some captions' scores with all images are held at
a time, and of the nearest five numbers a pair.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mmx.tasks.rank_lists import Places, first_places, wrong_before
from mmx.tasks.recall import (
    RankLists,
    Ranks,
    best_scores,
    checked,
    or_no_answer,
    ranks,
    relevant_pairs,
)
from mmx.tasks.stand_before import BLOCK_COLUMNS, BLOCK_ROWS, SAME, pair_scores

Fine = Callable[[Tensor, Tensor], Tensor]
"""Rows of images [G] and of captions [Q], int64 -> their fine scores [Q, G] float32, on the CPU."""

PAIRS = 1_024
"""Pairs scored at a time: on a CPU more do not fit its caches."""
ALONE = 16
"""With an image alone so many times fewer are: its captions are read once, on a CPU from fast caches."""
FINE_SAME = 2.0**-20
"""Fine scores that differ by less than this share of the largest right one's are a tie; float32 sums in
blocks of different shapes differ by a third of it.
"""

DEFINITIONS = {
    "rerank": "Re-ranked: score = cosine + weight x fine score, for the nearest answers of each query by "
    "cosine, as many as are named; farther ones keep their first-stage place behind them. Fully scored: for "
    "all pairs.",
}
"""What the rows of a second stage mean, printed and saved with them."""


@dataclass(frozen=True)
class FirstStage:
    """Images and captions in the shared space, with the ranks that they give by themselves."""

    image: Tensor
    """[N, D] float32 on the CPU."""
    text: Tensor
    """[C, D] float32 on the CPU."""
    image_group: Tensor
    """[N] int64."""
    text_group: Tensor
    """[C] int64."""
    ranks: Ranks
    same: float
    """Cosines that differ by less are a tie."""
    places: Places | None = None
    """Of every right image of each caption, where its whole list counts."""

    @classmethod
    def of(
        cls, image: Tensor, text: Tensor, image_group: Tensor, text_group: Tensor, lists: bool = False
    ) -> "FirstStage":
        """[N, D], [C, D], [N], [C] -> the same, ranked; with `lists` the captions' whole lists count.

        Raises:
            ValueError: as for `recall.ranks`.
        """
        found = ranks(image, text, image_group, text_group)
        image, longest_image = checked(image, image_group, "image")
        text, longest_text = checked(text, text_group, "text")
        # Above zero even where every embedding is zero: a right answer must still stand behind its equals.
        same = max(SAME * longest_image * longest_text, torch.finfo(torch.float32).tiny)
        groups = image_group.cpu(), text_group.cpu()
        places = first_places(text, image, *groups[::-1], same) if lists else None
        if places is not None:
            found = replace(found, lists=places.lists(len(text)))
        return cls(image, text, *groups, found, same, places)


def rerank(
    first: FirstStage,
    fine: Fine,
    weights: Sequence[float],
    top: int | None = None,
    order: Tensor | None = None,
    pairs: int = PAIRS,
) -> list[Ranks]:
    """The ranks of every query in both directions, for each weight; each pair's fine score is made once.

    Args:
        first: the first stage.
        fine: scores pairs; it must give finite numbers.
        weights: of the fine score.
        top: how many of a query's nearest are ranked again; None scores all pairs.
        order: [C] captions in the order in which they are best scored together, such as that of their
            lengths; it changes no result.
        pairs: scored at a time, at most.

    Raises:
        ValueError: for a `top` below one, or fine scores of the wrong shape or that are not finite.
    """
    if top is not None and top < 1:
        raise ValueError(f"top must be at least 1, not {top}")
    scorer = _Scorer(fine, torch.arange(len(first.text)) if order is None else order, max(pairs, 1))
    factors = torch.tensor(list(weights), dtype=torch.float64)
    if top is None or top >= max(len(first.image), len(first.text)):
        return full_ranks(first, scorer, factors)
    return top_ranks(first, scorer, factors, top)


def full_ranks(first: FirstStage, scorer: "_Scorer", weights: Tensor) -> list[Ranks]:
    """Weights [W] -> ranks by the scores of all N x C pairs."""
    pair_image, pair_text = relevant_pairs(first.image_group, first.text_group)
    right = pair_scores(first.image, first.text, pair_image, pair_text)
    right_fine = scorer.of_pairs(pair_image, pair_text)
    right = right + weights[:, None] * right_fine
    same = _ties(first, weights, right_fine)[:, None]
    best_text = torch.stack([best_scores(scores, pair_image, len(first.image)) for scores in right])
    best_image = torch.stack([best_scores(scores, pair_text, len(first.text)) for scores in right])
    i2t = torch.zeros(best_text.shape, dtype=torch.int64)
    t2i = torch.zeros(best_image.shape, dtype=torch.int64)
    moved = [first.places] * len(weights)
    for texts, found in scorer.rows(len(first.image)):
        cosine = first.text[texts].double() @ first.image.double().T
        wrong = first.text_group[texts][:, None] != first.image_group
        for weight, factor in enumerate(weights):
            scores = cosine + factor * found
            places = moved[weight]
            if places is not None:
                row, image = (~wrong).nonzero().unbind(1)
                before = wrong_before(scores, ~wrong, same[weight].item())
                moved[weight] = places.moved(texts[row], image, before)
            scores = torch.where(wrong, scores, -torch.inf)
            i2t[weight] += (scores >= best_text[weight] - same[weight]).sum(0)
            t2i[weight, texts] += (scores >= (best_image[weight, texts] - same[weight])[:, None]).sum(1)
    return [
        Ranks(
            or_no_answer(i2t[row], best_text[row]),
            or_no_answer(t2i[row], best_image[row]),
            None if places is None else places.lists(len(first.text)),
        )
        for row, places in enumerate(moved)
    ]


def top_ranks(first: FirstStage, scorer: "_Scorer", weights: Tensor, top: int) -> list[Ranks]:
    """Weights [W] -> ranks by the scores of each query's `top` nearest."""
    sides = (first.image, first.image_group), (first.text, first.text_group)
    of_images, of_texts = _nearest(*sides, first.same, top), _nearest(*sides[::-1], first.same, top)
    # A pair near in both directions is scored once; a key sorts them by image, then as captions go together.
    place = scorer.order.argsort()
    keys = torch.cat(
        [
            of_images.query * len(first.text) + place[of_images.answer],
            of_texts.answer * len(first.text) + place[of_texts.query],
        ]
    )
    keys, pair = keys.unique(return_inverse=True)
    found = scorer.of_pairs(keys // len(first.text), scorer.order[keys % len(first.text)])
    relevant = found[pair[torch.cat([of_images.right, of_texts.right])]]
    same = _ties(first, weights, relevant)
    fine_of_images, fine_of_texts = found[pair].split([len(of_images.query), len(of_texts.query)])
    return [
        Ranks(
            of_images.ranks(of_images.cosine + factor * fine_of_images, tie, first.ranks.i2t),
            of_texts.ranks(of_texts.cosine + factor * fine_of_texts, tie, first.ranks.t2i),
            of_texts.lists(of_texts.cosine + factor * fine_of_texts, tie, first),
        )
        for factor, tie in zip(weights, same, strict=True)
    ]


@dataclass(frozen=True)
class _Scorer:
    """Fine scores in calls of bounded size."""

    fine: Fine
    order: Tensor
    pairs: int

    def rows(self, images: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Some captions with every image: captions [Q], fine scores [Q, images] float64."""
        for texts in self.order.split(max(int(self.pairs**0.5), 1)):
            parts = torch.arange(images).split(max(self.pairs // len(texts), 1))
            yield texts, torch.cat([self._scored(some, texts) for some in parts], dim=1)

    def of_pairs(self, pair_image: Tensor, pair_text: Tensor) -> Tensor:
        """[P], [P], images rising -> fine scores [P] float64."""
        found = torch.empty(len(pair_image), dtype=torch.float64)
        start = 0
        for count in pair_image.unique_consecutive(return_counts=True)[1].tolist():
            image = pair_image[start, None]
            for texts in pair_text[start : start + count].split(max(self.pairs // ALONE, 1)):
                found[start : start + len(texts)] = self._scored(image, texts)[:, 0]
                start += len(texts)
        return found

    def _scored(self, images: Tensor, texts: Tensor) -> Tensor:
        scores = self.fine(images, texts)
        if scores.shape != (len(texts), len(images)):
            raise ValueError(
                f"fine scores of {len(texts)} captions and {len(images)} images are {list(scores.shape)}"
            )
        if not scores.isfinite().all():
            raise ValueError("a fine score is not finite")
        return scores.double()


@dataclass(frozen=True)
class _Nearest:
    """The nearest answers of all queries of one direction, as pairs."""

    query: Tensor
    """[P] int64."""
    answer: Tensor
    """[P] int64."""
    cosine: Tensor
    """[P] float64."""
    right: Tensor
    """[P] bool."""

    def ranks(self, scores: Tensor, same: Tensor, first: Tensor) -> Tensor:
        """Scores [P] float64, first-stage ranks [queries] -> ranks [queries]."""
        best = best_scores(scores[self.right], self.query[self.right], len(first))
        before = ~self.right & (scores >= best[self.query] - same)
        # With no right answer among the nearest, the best one keeps its place behind them.
        return torch.where(best.isnan(), first, self.query[before].bincount(minlength=len(first)))

    def lists(self, scores: Tensor, same: Tensor, first: FirstStage) -> RankLists | None:
        """Scores [P] float64 -> the queries' whole lists, where they count; queries are captions."""
        if first.places is None:
            return None
        queries = len(first.text)
        right = self.right.view(queries, -1)
        before = wrong_before(scores.view(queries, -1), right, same.item())
        places = first.places.moved(self.query[self.right], self.answer[self.right], before)
        return places.lists(queries)


def _nearest(
    queries: tuple[Tensor, Tensor], answers: tuple[Tensor, Tensor], same: float, top: int
) -> _Nearest:
    """The `top` nearest answers of each query; of equal ones the wrong first, then the lower row."""
    (query, query_group), (answer, answer_group) = queries, answers
    parts = []
    for start in range(0, len(query), BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        asked = query[rows].double()
        cosine = torch.cat([asked @ some.double().T for some in answer.split(BLOCK_COLUMNS)], dim=1)
        right = query_group[rows, None] == answer_group
        place = cosine - same * right
        last = place.topk(min(top, len(answer)), dim=1).values[:, -1:]
        chosen, tied = place > last, place == last
        chosen |= tied & (tied.cumsum(1) <= top - chosen.sum(1, keepdim=True))
        row, column = chosen.nonzero().unbind(1)
        parts.append((row + start, column, cosine[chosen], right[chosen]))
    return _Nearest(*(torch.cat(part) for part in zip(*parts, strict=True)))


def _ties(first: FirstStage, weights: Tensor, right_fine: Tensor) -> Tensor:
    """[W] -> the differences [W] below which two scores are a tie."""
    largest = right_fine.abs().max() if len(right_fine) else torch.zeros((), dtype=torch.float64)
    return first.same + FINE_SAME * weights.abs() * largest
