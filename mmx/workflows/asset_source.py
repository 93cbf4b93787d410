"""What a method may count from before it learns: the training records of a corpus, and its concepts."""

from mmx.core.assets import AssetSource, ConceptTable
from mmx.core.reporter import Reporter
from mmx.store.manifest import Manifest
from mmx.store.word_vectors import read_word_vectors
from mmx.workflows.concepts import ensure_concepts


def asset_source(manifest: Manifest, reporter: Reporter) -> AssetSource:
    """Training records alone: nothing of val or test is ever counted."""

    def concepts(count: int) -> ConceptTable:
        return ensure_concepts(manifest, count, reporter)

    return AssetSource(manifest.split("train"), concepts, read_word_vectors)
