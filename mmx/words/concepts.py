"""Which concepts of a corpus a caption names."""

from collections.abc import Iterable, Mapping, Sequence

from mmx.words.split import split_words


def concept_ids(forms: Mapping[str, int], captions: Iterable[str]) -> list[list[int]]:
    """For each caption the concepts that it names, each once, in rising order.

    Args:
        forms: word as it is written -> concept, as in a ConceptTable.
        captions: as people wrote them.
    """
    return [ids_of_words(forms, split_words(caption)) for caption in captions]


def ids_of_words(forms: Mapping[str, int], words: Sequence[str]) -> list[int]:
    """The concepts among the words of one caption, each once, in rising order."""
    return sorted({forms[word] for word in words if word in forms})
