"""What a run ranks over a split: embedded and ranked, or the ranks that it has kept where they are fresh."""

from dataclasses import replace

import torch

from mmx.core.present import present
from mmx.core.record import have_identities
from mmx.core.reporter import Reporter
from mmx.store.manifest import Manifest
from mmx.store.run import RunFolder
from mmx.store.shipped import results_place
from mmx.workflows.embedded import Embedded, embed_model, embed_run
from mmx.workflows.evaluate_settings import EvaluateSettings
from mmx.workflows.rank_files import ONE_STAGE, RankTable, load_ranks, save_ranks
from mmx.workflows.stage_rows import (
    DEFAULT_TOP,
    RankedRow,
    Tuning,
    completed_row,
    headline_of,
    k_reciprocal_row,
    parse_top,
    ranked_rows,
)


def embed(
    folder: RunFolder | None,
    manifest: Manifest,
    settings: EvaluateSettings,
    device: torch.device,
    reporter: Reporter,
) -> Embedded:
    """The split that was asked for, by a run, or without one by the pretrained pair that was named.

    Raises:
        UsageError: for words that do not fit together, or a split that is not there.
        ArtifactError: when the run, features or weights are missing or do not fit.
    """
    if folder is None:
        return embed_model(present(settings.model), manifest, settings.split, settings.home, device, reporter)
    both_stages = parse_top(settings.rerank_top) != 0
    size = settings.batch_size
    wishes = both_stages, settings.complete_labels
    return embed_run(folder, manifest, settings.split, settings.home, device, size, reporter, *wishes)


def rows_of(
    embedded: Embedded, settings: EvaluateSettings, tuning: Tuning | None, reporter: Reporter
) -> list[RankedRow]:
    """Every way to rank it that was asked for."""
    top = parse_top(settings.rerank_top)
    rows = ranked_rows(embedded.embeddings, embedded.first, top, tuning, reporter)
    if settings.k_reciprocal:
        rows.append(k_reciprocal_row(embedded.first, DEFAULT_TOP))
    if embedded.completed is not None:
        rows.append(completed_row(embedded.completed, have_identities(embedded.records)))
    return rows


def second_stage_of(embedded: Embedded, settings: EvaluateSettings) -> str:
    """What is kept of how the headline was made; two runs are compared where it is the same."""
    return f"top {parse_top(settings.rerank_top)}" if embedded.weight else ONE_STAGE


def kept_ranks(
    run: RunFolder, manifest: Manifest, settings: EvaluateSettings, device: torch.device, reporter: Reporter
) -> RankTable:
    """The headline of a run over the split: from its file where that is of these weights and this data, else
    embedded and kept.

    Raises:
        UsageError: when the method does not match pictures and words.
        ArtifactError: when the file is broken, or weights or features are missing or do not fit.
    """
    wanted = {
        "fingerprint": run.fingerprint,
        "dataset": manifest.name,
        "manifest_fingerprint": manifest.fingerprint,
        "split": settings.split,
        "second_stage": f"top {parse_top(settings.rerank_top)}",
    }
    place = results_place(run.path, settings.home)
    found, whole_lists = load_ranks(place, wanted), have_identities(manifest.split(settings.split))
    if found is not None and (found.ranks.lists is not None) == whole_lists:
        return found
    plain = replace(settings, k_reciprocal=False, complete_labels=False)
    with run.locked(place):
        embedded = embed(run, manifest, plain, device, reporter)
        headline = headline_of(rows_of(embedded, plain, None, reporter))
        found = embedded.table(headline.ranks, second_stage_of(embedded, plain))
        save_ranks(place, found)
    return found
