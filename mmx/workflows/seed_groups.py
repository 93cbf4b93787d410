"""Runs of one setting that differ by their seed alone, and what two settings differ in."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmx.core.errors import ArtifactError
from mmx.store.run import RunFolder
from mmx.workflows.head_run import is_head
from mmx.workflows.opened_run import method_of
from mmx.workflows.seeds import SEED_FOLDER

SEED_AT_END = re.compile(r"[-_/]?(seed)?[-_]?\d+$")
TAKEN = ("method", "tasks", "dataset", "manifest_fingerprint", "precision")
TAKEN_BY_CLASSIFIERS = ("class_texts", "prompts", "labels", "asked")
"""What makes a run, beside its seed, its towers and what it began from."""


@dataclass(frozen=True)
class SeedGroup:
    """One setting with all its runs, by rising seed."""

    name: str
    runs: tuple[RunFolder, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """Those of the runs."""
        return tuple(run.facts["seed"] for run in self.runs)


def group_by_setting(runs: Sequence[RunFolder]) -> list[SeedGroup]:
    """Runs that differ by seed alone together, in the order in which the first of each was named.

    A run that is there twice with one seed, such as one beside its replay, is a group of its own.
    """
    groups: dict[tuple[str, int], list[RunFolder]] = {}
    for run in runs:
        key, again = setting_key(run), 0
        while run.facts["seed"] in [other.facts["seed"] for other in groups.get((key, again), [])]:
            again += 1
        groups.setdefault((key, again), []).append(run)
    sorted_groups = [sorted(group, key=lambda run: run.facts["seed"]) for group in groups.values()]
    names = [_name(group) for group in sorted_groups]
    return [
        SeedGroup(name if names.count(name) == 1 else _shown(group[0]), tuple(group))
        for name, group in zip(names, sorted_groups, strict=True)
    ]


def setting_key(run: RunFolder) -> str:
    """Equal for runs that differ by seed alone; what a run began from may differ by seed too."""
    facts = run.facts
    towers = {key: (fact["encoder"], fact["fingerprint"]) for key, fact in facts["towers"].items()}
    taken = [facts.get(name) for name in (*TAKEN, *TAKEN_BY_CLASSIFIERS)]
    return json.dumps([taken, _settings(run), towers, _start_key(facts.get("init"))], sort_keys=True)


def _settings(run: RunFolder) -> dict[str, Any]:
    """Those of a run; a setting that came later has its default, which is what the run was made with."""
    if is_head(run):
        return run.facts["settings"]
    try:
        return vars(method_of(run)[1])
    except ArtifactError:
        return run.facts["settings"]


def _start_key(init: Mapping[str, str] | None) -> str | None:
    """Of the run whose weights were the start; its fingerprint where that is gone or another one now."""
    if init is None:
        return None
    try:
        start = RunFolder.open(Path(init["run"]))
        return setting_key(start) if start.fingerprint == init["fingerprint"] else init["fingerprint"]
    except ArtifactError:
        return init["fingerprint"]


def what_differs(run: RunFolder, first: RunFolder) -> dict[str, tuple[Any, Any]]:
    """Name -> its value in a run and in the first one; settings where the method is the same."""
    ours, theirs = run.facts, first.facts
    names = [name for name in ("method", "dataset", "precision") if ours.get(name) != theirs.get(name)]
    differs = {name: (ours.get(name), theirs.get(name)) for name in names}
    if "method" not in differs:
        one, other = _settings(run), _settings(first)
        differs |= {
            name: (one.get(name), other.get(name))
            for name in dict.fromkeys([*one, *other])
            if one.get(name) != other.get(name)
        }
    if (ours.get("init") is None) != (theirs.get("init") is None):
        starts = [init and Path(init["run"]).name for init in (ours.get("init"), theirs.get("init"))]
        differs["init"] = (starts[0], starts[1])
    return differs


def _shown(run: RunFolder) -> str:
    """A run's name; one that is called after its seed alone has its folder's name before it."""
    seed_alone = SEED_FOLDER.fullmatch(run.name)
    return f"{run.path.resolve().parent.name}/{run.name}" if seed_alone else run.name


def _name(group: Sequence[RunFolder]) -> str:
    """The runs' name without the seed at its end, where that is one name."""
    shown = [_shown(run) for run in group]
    without = {SEED_AT_END.sub("", name) for name in shown}
    alike = len(shown) > 1 and len(without) == 1 and "" not in without
    return without.pop() if alike else shown[0]
