"""The concepts of a prepared corpus: counted once from its training captions, then read from its folder.

What is heavy is imported where it is used: the tagger (two seconds), since training needs none once the
concepts are counted, and torch, since `mmx prepare` says what is wrong with its words before it loads that.
"""

from collections.abc import Mapping, Sequence

from mmx.core.assets import ConceptTable
from mmx.core.errors import DataError, UsageError
from mmx.core.names import canonical
from mmx.core.record import Record
from mmx.core.reporter import Reporter
from mmx.store.manifest import Manifest

CONCEPTS = "concepts"
"""The option of `prepare` that says how many; every dataset has it."""
USUAL = 300
MOST = 5000
TOLD = 6


def asked_concepts(options: Mapping[str, str]) -> int | None:
    """How many concepts `--set concepts=...` of `prepare` asks for; None when it does not.

    Raises:
        UsageError: when it is no number of concepts.
    """
    given = [value for name, value in options.items() if canonical(name) == CONCEPTS]
    if not given:
        return None
    if not (given[-1].isascii() and given[-1].isdigit() and 1 <= int(given[-1]) <= MOST):
        raise UsageError(f"{CONCEPTS}='{given[-1]}' is not possible. It is a whole number from 1 to {MOST}.")
    return int(given[-1])


def ensure_concepts(manifest: Manifest, count: int, reporter: Reporter) -> ConceptTable:
    """So many concepts of a corpus: those that are stored, else counted now and stored.

    Raises:
        UsageError: when the training captions have fewer.
        DataError: when there are no training captions.
        ArtifactError: when what is stored is broken, or was counted from another manifest.
        ResourceError: when the dataset's folder cannot be written.
    """
    from mmx.store.concepts import open_concepts, save_concepts

    stored = open_concepts(manifest)
    if stored is not None and len(stored.words) == count:
        return stored
    captions = _captions(manifest.split("train")) if "train" in manifest.splits else []
    if not captions:
        raise DataError(
            f"'{manifest.name}' has no training captions to count concepts in. "
            "Take a dataset with captions in its split train."
        )
    reporter.info(f"counting {count} concepts in {len(captions):,} training captions of '{manifest.name}'")
    table = _count(captions, count, fewer=False)
    save_concepts(manifest, table)
    return table


def find_concepts(
    name: str, records: Sequence[Record], asked: int | None, reporter: Reporter
) -> tuple[ConceptTable | None, tuple[str, ...]]:
    """What `prepare` stores of a corpus's concepts, and what it says of them; None where there is nothing.

    Args:
        name: of the corpus.
        records: of split train.
        asked: how many there must be; None takes the usual number, or as many as there are.
        reporter: hears that it takes a moment.

    Raises:
        UsageError: when there are fewer than were asked for.
    """
    captions = _captions(records)
    if not captions and asked is None:
        return None, ()
    reporter.info(f"counting concepts in {len(captions):,} training captions of '{name}'")
    table = _count(captions, asked or USUAL, fewer=asked is None)
    return (table if table.words else None), (_say(table, len(captions), asked or USUAL),)


def store_concepts(manifest: Manifest, table: ConceptTable | None) -> None:
    """Put the concepts beside a manifest; None takes those of an older one away.

    Raises:
        ResourceError: when the dataset's folder cannot be written.
    """
    from mmx.store.concepts import remove_concepts, save_concepts

    if table is None:
        remove_concepts(manifest.folder)
    else:
        save_concepts(manifest, table)


def _captions(records: Sequence[Record]) -> list[str]:
    return [caption for record in records for caption in record.captions]


def _count(captions: Sequence[str], count: int, *, fewer: bool) -> ConceptTable:
    from mmx.words.concept_count import count_concepts

    return count_concepts(captions, count, fewer=fewer)


def _say(table: ConceptTable, captions: int, wanted: int) -> str:
    if not table.words:
        return f"no concepts: no English nouns, adjectives or verbs in {captions:,} training captions"
    order = table.counts.argsort(descending=True, stable=True)[:TOLD].tolist()
    all_there_are = ", all that there are," if len(table.words) < wanted else ""
    return (
        f"{len(table.words)} concepts{all_there_are} from {captions:,} training captions: "
        f"{', '.join(table.words[place] for place in order)}{', ...' if len(table.words) > TOLD else ''}"
    )
