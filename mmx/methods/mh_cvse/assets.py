"""What mh-cvse counts before it learns: the words it knows, and the concepts of the corpus.

Source: CVSE code (BruceW91/CVSE, commit 94c2191, vocab.py and data.py); the lookup by all forms of a word is
ours.
Shapes: V words, K concepts, W width of a word's vector.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mmx.core.assets import Assets, AssetSource
from mmx.core.caption_words import CaptionWords
from mmx.core.record import Record
from mmx.methods.mh_cvse.settings import MhCvseSettings
from mmx.words.concepts import concept_ids
from mmx.words.vocabulary import Vocabulary

if TYPE_CHECKING:
    from torch import Tensor


def count_assets(settings: MhCvseSettings, source: AssetSource) -> Assets:
    """The vocabulary of the training captions and the concepts of the corpus, as far as they are needed.

    Raises:
        DataError: when no word stands often enough.
        ArtifactError: when the file of vectors cannot be read.
    """
    values: dict[str, Any] = {}
    tensors: dict[str, Tensor] = {}
    if settings.text == "words":
        captions = (caption for record in source.records for caption in record.captions)
        vocabulary = Vocabulary.count(captions, settings.least_count)
        values["vocabulary"] = vocabulary.values()
        if settings.word_vectors is not None:
            vectors, found = source.word_vectors(settings.word_vectors, vocabulary.words)
            tensors |= {"word_vectors": vectors, "words_found": found}
    if settings.consensus:
        table = source.concepts(settings.concepts)
        values["concepts"] = {
            "words": list(table.words),
            "kinds": list(table.kinds),
            "forms": dict(table.forms),
        }
        tensors |= {"concept_counts": table.counts, "concept_pairs": table.pairs}
        if settings.word_vectors is not None:
            vectors, found = source.word_vectors(settings.word_vectors, table.words)
            tensors |= {"concept_vectors": vectors, "concepts_found": found}
    return Assets(values, tensors)


def caption_ids(
    settings: MhCvseSettings, assets: Assets, records: Sequence[Record]
) -> dict[str, list[list[int]]]:
    """The word ids of each caption, and the concepts it names, as far as the model reads them.

    With `label_source=union` each caption of a training record names what any caption of its image names.
    """
    ids: dict[str, list[list[int]]] = {}
    if settings.text == "words":
        vocabulary = vocabulary_of(assets)
        ids["token_ids"] = [
            vocabulary.ids(caption, settings.max_tokens) for record in records for caption in record.captions
        ]
    if settings.consensus:
        forms = assets.values["concepts"]["forms"]
        union = settings.label_source == "union"
        ids["concept_ids"] = [row for record in records for row in _concepts_of(record, forms, union)]
    return ids


def caption_words(settings: MhCvseSettings, assets: Assets, captions: Sequence[str]) -> list[CaptionWords]:
    """The words of each caption as the vocabulary reads them."""
    vocabulary = vocabulary_of(assets)
    return [vocabulary.caption_words(caption, settings.max_tokens) for caption in captions]


def vocabulary_of(assets: Assets) -> Vocabulary:
    """The vocabulary among the assets.

    Raises:
        ArtifactError: when it is broken.
    """
    return Vocabulary.from_values(assets.values["vocabulary"])


def _concepts_of(record: Record, forms: Mapping[str, int], union: bool) -> list[list[int]]:
    """For each caption of a record the concepts it names, in rising order and once each."""
    named = concept_ids(forms, record.captions)
    if union and record.split == "train":
        return [sorted(set().union(*named))] * len(named)
    return named
