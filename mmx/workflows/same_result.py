"""Whether two runs came to the same: their weights, their logs and what they reach on val."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch

from mmx.core.errors import ArtifactError
from mmx.core.present import present
from mmx.store.run import RunFolder

TIMES = {"seconds", "val_seconds"}
"""What no two processes share."""
REACHED = ("stage", "epoch", "step", "primary_metric", "val")


@dataclass(frozen=True)
class Part:
    """One thing that was compared."""

    name: str
    equal: bool
    said: str
    """What is equal, or where the difference is."""


def compare_weights(one: RunFolder, other: RunFolder) -> Part:
    """All tensors of the best weights, bit for bit.

    Raises:
        ArtifactError: when there are none, or they are broken.
    """
    then, now = one.read_weights(), other.read_weights()
    if then.keys() != now.keys():
        names = sorted(then.keys() ^ now.keys())
        return Part("weights", False, f"{len(names)} tensors are in one of the two alone: {names[0]}, ...")
    unlike = {
        name: _apart(tensor, now[name]) for name, tensor in then.items() if not _same(tensor, now[name])
    }
    numbers = sum(tensor.numel() for tensor in then.values())
    if not unlike:
        return Part("weights", True, f"{len(then):,} tensors, {numbers:,} numbers: bit for bit")
    worst = max(unlike, key=unlike.__getitem__)
    said = f"{len(unlike):,} of {len(then):,} tensors differ, most '{worst}', by up to {unlike[worst]:.2g}"
    return Part("weights", False, said)


def compare_logs(one: RunFolder, other: RunFolder) -> Part:
    """Every line of the log, but for times.

    Raises:
        ArtifactError: when a log is broken.
    """
    then, now = (_read_log(run.log) for run in (one, other))
    for number, (line, again) in enumerate(zip_longest(then, now), start=1):
        if line != again:
            return Part("log", False, f"line {number} of {len(then)}: {_first_change(line, again)}")
    return Part("log", True, f"{len(then):,} lines, times aside")


def compare_metrics(one: RunFolder, other: RunFolder) -> Part:
    """What the kept weights reach on val, and when that was."""
    then, now = ({name: run.metrics().get(name) for name in REACHED} for run in (one, other))
    if then != now:
        return Part("val", False, _first_change(_flat(then), _flat(now)))
    primary = then["primary_metric"]
    reached = present(then["val"])
    return Part("val", True, f"{primary} {reached[primary]:.4f} and {len(reached) - 1} more numbers")


def compare_shown(one: RunFolder, other: RunFolder) -> Part:
    """The shots, their features and texts that a few-shot classifier saw."""
    then, now = one.facts.get("episode"), other.facts.get("episode")
    return Part(
        "shown", then == now, f"shots, features and texts: {then}" + ("" if then == now else f", now {now}")
    )


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.dtype == other.dtype and torch.equal(one, other)


def _apart(one: torch.Tensor, other: torch.Tensor) -> float:
    """The largest difference of two tensors; infinite where they are of different shapes."""
    if one.shape != other.shape or not one.numel():
        return float("inf")
    return float((one.double() - other.double()).abs().max())


def _read_log(path: Path) -> list[dict[str, Any]]:
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return [{name: value for name, value in line.items() if name not in TIMES} for line in lines]
    except (OSError, ValueError, AttributeError) as error:
        raise ArtifactError(
            f"'{path}' cannot be read ({error}): there is nothing to compare with."
        ) from error


def _first_change(then: Mapping[str, Any] | None, now: Mapping[str, Any] | None) -> str:
    if then is None or now is None:
        return "there is no such line in one of the two"
    name = next(name for name in dict.fromkeys([*then, *now]) if then.get(name) != now.get(name))
    return f"{name} was {then.get(name)}, now {now.get(name)}"


def _flat(found: Mapping[str, Any]) -> dict[str, Any]:
    return {**found, **{f"val {name}": value for name, value in (found["val"] or {}).items()}, "val": None}
