"""The cut-off of a search: a cosine that was given, or one that keeps a share of a run's right pictures."""

from dataclasses import replace

import torch

from mmx.core.errors import UsageError
from mmx.core.reporter import Reporter
from mmx.search.calibration import cut_offs
from mmx.search.gallery_index import LocalIndex
from mmx.store.calibration import Calibration
from mmx.store.shipped import results_place
from mmx.workflows.matcher import Matcher
from mmx.workflows.search_settings import SearchSettings, read_min_score
from mmx.workflows.searchable import split_galleries

CALIBRATED_ON = "val"


def least_cosine(matcher: Matcher, settings: SearchSettings, reporter: Reporter) -> float | None:
    """The cosine below which nothing is shown; None where nothing was asked.

    Raises:
        UsageError: when it is to be calibrated and cannot be.
    """
    if settings.min_score is None:
        return None
    value, is_share = read_min_score(settings.min_score)
    if not is_share:
        return value
    calibration = _calibration(matcher, settings, reporter)
    cut, let_through = calibration.cut_offs[int(value)]
    reporter.info(
        f"cut-off {cut:.3f}: on '{calibration.measured_on}' {value:.0f}% of the right pictures score more, "
        f"and a sentence lets through {let_through:.1%} of all {calibration.pictures:,}"
    )
    return cut


def _calibration(matcher: Matcher, settings: SearchSettings, reporter: Reporter) -> Calibration:
    """The cut-offs of a run, measured on val of its own corpus the first time."""
    if matcher.opened is None:
        raise UsageError(
            f"'{matcher.name}' was trained elsewhere, so no cut-off of it was measured. Give a cosine, such "
            "as --min-score 0.25."
        )
    folder = matcher.opened.folder.path
    place = results_place(folder, settings.home)
    kept = Calibration.open(folder, matcher.fingerprint) or Calibration.open(place, matcher.fingerprint)
    if kept is not None:
        return kept
    of_val = replace(
        settings,
        folder=None,
        index=None,
        dataset=None,
        split=CALIBRATED_ON,
        rebuild=False,
        refresh=True,
        where=None,
        table=None,
    )
    (gallery,) = split_galleries(matcher, of_val, reporter)
    owners = LocalIndex(gallery).owners(torch.arange(len(gallery.captions)))
    made = Calibration(
        matcher.fingerprint,
        gallery.source,
        len(gallery.entries),
        len(gallery.captions),
        cut_offs(gallery.image_vectors, gallery.text_vectors, owners),
    )
    made.save(place)
    return made
