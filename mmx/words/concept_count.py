"""The concepts of a corpus, found and counted in its training captions.

Source: CVSE (Wang et al., ECCV 2020): 300 concepts, objects, properties and motions as 7 : 2 : 1, by falling
count. The counts released for Flickr30k reach 41,778, which is more than it has images (31,014): there, and
here, the caption is the unit of counting. `counts` are captions that name a concept, `pairs` those that name
both.
Shapes: K concepts, C captions of a block.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mmx.core.assets import ConceptTable
from mmx.core.errors import UsageError
from mmx.words.concepts import ids_of_words
from mmx.words.excluded import EXCLUDED
from mmx.words.split import split_words
from mmx.words.word_kinds import (
    KINDS,
    MOTION,
    OBJECT,
    OTHER,
    PROPERTY,
    count_kinds,
    dictionary_form,
    main_kind,
)

SHARES = {OBJECT: 0.7, PROPERTY: 0.2, MOTION: 0.1}
# A word that is used both ways this often is one concept: "a jump", "they jump"; not "a face", "facing".
BOTH_WAYS = 0.2
# A noun whose dictionary form is used less than this, beside its most used form, goes by that one: "pants".
HARDLY_USED = 0.05
BLOCK = 2048


@dataclass(frozen=True)
class Candidate:
    """A word of one kind in all its forms, which may become a concept."""

    word: str
    kind: str
    forms: tuple[str, ...]


def count_concepts(captions: Iterable[str], wanted: int, *, fewer: bool = False) -> ConceptTable:
    """The `wanted` most frequent concepts of some captions, with how often they occur, alone and together.

    Args:
        captions: of training alone.
        wanted: how many concepts, 7 : 2 : 1; a kind that has too few is filled up from the others.
        fewer: take as many as there are, if there are fewer; perhaps none.

    Raises:
        UsageError: when there are fewer, and that is not allowed.
    """
    split = [split_words(caption) for caption in captions]
    candidates = find_candidates(split)
    if len(candidates) < wanted and not fewer:
        hint = f"Ask for fewer: --set concepts={len(candidates)}" if candidates else "They must be English."
        raise UsageError(
            f"there are {len(candidates)} concepts (nouns, adjectives and verbs, all forms of one taken "
            f"together) in the {len(split):,} training captions, and {wanted} are asked for. {hint}"
        )
    forms = _forms(candidates)
    found = Counter(place for words in split for place in ids_of_words(forms, words))
    chosen = _choose(candidates, found, min(wanted, len(candidates)))
    forms = _forms(chosen)
    counts, pairs = _count(len(chosen), [ids_of_words(forms, words) for words in split])
    words, kinds = tuple(one.word for one in chosen), tuple(one.kind for one in chosen)
    return ConceptTable(words=words, kinds=kinds, forms=forms, counts=counts, pairs=pairs)


def find_candidates(captions: Sequence[Sequence[str]]) -> list[Candidate]:
    """Every word that may become a concept, by alphabet; no form belongs to two of them."""
    kinds = count_kinds(captions)
    uses = {word: counts.total() for word, counts in kinds.items()}
    families: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for word, counts in kinds.items():
        kind = main_kind(counts)
        if kind == OTHER or len(word) < 2 or not any(char.isalpha() for char in word):
            continue
        lemma = dictionary_form(word, kind, uses)
        if EXCLUDED.isdisjoint((word, lemma)):
            families[lemma][kind].append(word)
    united = [
        (lemma, _united(family, kinds.get(lemma, Counter()), uses)) for lemma, family in families.items()
    ]
    taken = {form for _, parts in united for _, forms in parts for form in forms}
    named = [one for lemma, parts in united for one in _named(lemma, parts, uses, taken)]
    return sorted(named, key=lambda one: one.word)


def _united(
    family: Mapping[str, list[str]], lemma_kinds: Counter[str], uses: Mapping[str, int]
) -> list[tuple[str, list[str]]]:
    """The kinds of one dictionary form, the most used first; one where the form itself is used both ways."""
    ordered = sorted(
        family.items(), key=lambda item: (-sum(uses[form] for form in item[1]), KINDS.index(item[0]))
    )
    least = BOTH_WAYS * lemma_kinds.total()
    both = [kind for kind, _ in ordered if lemma_kinds[kind] >= max(1, least)]
    if len(both) < 2:
        return ordered
    one = (both[0], [form for kind, forms in ordered if kind in both for form in forms])
    return [one, *(item for item in ordered if item[0] not in both)]


def _named(
    lemma: str, parts: Sequence[tuple[str, list[str]]], uses: Mapping[str, int], taken: Collection[str]
) -> Iterator[Candidate]:
    """The part with the dictionary form bears it, or else the most used; others their most used form."""
    for place, (kind, forms) in enumerate(parts):
        most_used = min(forms, key=lambda form: (-uses[form], form))
        is_rare = kind == OBJECT and uses.get(lemma, 0) < HARDLY_USED * uses[most_used]
        is_its_own = lemma in forms or (place == 0 and lemma not in taken)
        word = lemma if is_its_own and not is_rare else most_used
        yield Candidate(word, kind, tuple(sorted(forms)))


def _choose(candidates: Sequence[Candidate], found: Mapping[int, int], wanted: int) -> list[Candidate]:
    order = sorted(range(len(candidates)), key=lambda place: (-found[place], candidates[place].word))
    quota = {kind: round(SHARES[kind] * wanted) for kind in (PROPERTY, MOTION)}
    quota[OBJECT] = wanted - sum(quota.values())
    chosen = [
        place for kind in KINDS for place in [p for p in order if candidates[p].kind == kind][: quota[kind]]
    ]
    taken = set(chosen)
    chosen += [place for place in order if place not in taken][: wanted - len(chosen)]
    rank = {place: number for number, place in enumerate(order)}
    return [candidates[p] for p in sorted(chosen, key=lambda p: (KINDS.index(candidates[p].kind), rank[p]))]


def _forms(candidates: Sequence[Candidate]) -> dict[str, int]:
    return {form: place for place, one in enumerate(candidates) for form in one.forms}


def _count(concepts: int, named: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """For each caption its concepts -> counts [K] int64, pairs [K, K] int64."""
    both = torch.zeros(concepts, concepts, dtype=torch.int64)
    for start in range(0, len(named), BLOCK):
        block = named[start : start + BLOCK]
        present = torch.zeros(len(block), concepts)  # [C, K]
        rows = [row for row, ids in enumerate(block) for _ in ids]
        present[rows, [one for ids in block for one in ids]] = 1.0
        both += (present.T @ present).long()
    counts = both.diagonal().clone()
    return counts, both.fill_diagonal_(0)
