"""The few-shot classifiers of a comparison: which there are, and with what settings each is run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmx.core.classifier import Classifier, ShotSettings
from mmx.core.discover import find_classifiers
from mmx.core.errors import UsageError
from mmx.core.names import canonical, unknown
from mmx.core.settings import names, parse_assignments, resolve

GIVEN_APART = {"shots": "--shots", "encoder": "--encoder"}
"""Settings that a comparison gives to all of them."""

LISTING = "mmx fewshot --help"


@dataclass(frozen=True)
class Contender:
    """One row of a table."""

    name: str
    """Of the classifier, and after a slash of the preset where it has several rows."""
    method: str
    classifier: Classifier
    changes: Mapping[str, Any]
    """What its settings differ in from the defaults."""
    set_by: str

    def settings(self, encoder: str, shots: int) -> Any:
        """Its settings for so many shots.

        Raises:
            UsageError: for an unknown setting, or a value that is not possible.
        """
        shown = {"encoder": encoder, "shots": shots}
        layers = [(self.set_by, self.changes), ("fewshot", shown)]
        return resolve(self.classifier.settings, layers, LISTING)[0]


def find_contenders(chosen: Sequence[str], assignments: Sequence[str]) -> list[Contender]:
    """All rows there are, or those named: a classifier (with all its rows), or one `classifier/preset`.

    Raises:
        UsageError: for an unknown name or setting, or settings for more than one classifier.
    """
    known = find_classifiers()
    # what is in closed form comes first, and methods after heads
    order = sorted(known, key=lambda name: known[name].learns)
    rows = {row.name: row for name in order for row in _rows(name, known[name])}
    kept = dict(rows)
    if chosen:
        kept = {name: row for wanted in chosen for name, row in _matching(wanted, rows).items()}
    if not assignments:
        return list(kept.values())
    if len({row.method for row in kept.values()}) > 1:
        raise UsageError("--set is for one classifier. Name it with --method.")
    changes = parse_assignments(assignments)
    return [_changed(row, changes) for row in kept.values()]


def _rows(name: str, classifier: Classifier) -> list[Contender]:
    if not classifier.rows:
        return [Contender(name, name, classifier, {}, "default")]
    return [
        Contender(f"{name}/{preset}", name, classifier, classifier.presets[preset], f"preset {preset}")
        for preset in classifier.rows
    ]


def _matching(wanted: str, rows: Mapping[str, Contender]) -> dict[str, Contender]:
    name = canonical(wanted)
    found = {row: contender for row, contender in rows.items() if name in (row, contender.method)}
    if not found:
        raise unknown("classifier", wanted, [*rows], LISTING)
    return found


def _changed(row: Contender, changes: Mapping[str, str]) -> Contender:
    given = {name.replace("-", "_"): value for name, value in changes.items()}
    apart = next((name for name in given if name in GIVEN_APART), None)
    if apart is not None:
        raise UsageError(f"'{apart}' is the same for all classifiers. Give it as {GIVEN_APART[apart]}.")
    own = [name for name in names(row.classifier.settings) if name not in names(ShotSettings)]
    if not own:
        raise UsageError(f"'{row.method}' has no settings. Leave out --set.")
    changed = Contender(row.name, row.method, row.classifier, {**row.changes, **given}, "--set")
    changed.settings("auto", 1)
    return changed
