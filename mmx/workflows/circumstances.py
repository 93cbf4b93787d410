"""Under what circumstances a run was trained: those of the process that began it, and of each that went on.

settings.json holds the first ones; `resumed.jsonl` has a line for each process that went on with the run.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import torch

from mmx.core.errors import ArtifactError
from mmx.store.atomic import disk_errors
from mmx.store.provenance import commit, machine, versions
from mmx.store.run import RunFolder
from mmx.workflows.opened_run import method_of

RESUMED = "resumed.jsonl"
THREADS = "threads"


def circumstances(device: torch.device, processes: int = 1) -> dict[str, Any]:
    """Those of this process: versions of packages, commit, machine, device."""
    return {
        "versions": versions(),
        "commit": commit(),
        "machine": machine(),
        "device": str(device),
        "processes": processes,
    }


def unfinished_at(run: RunFolder) -> int | None:
    """The step at which a run stands that is not trained to its end; None of a whole one.

    Raises:
        ArtifactError: when its state is broken, or this mmx has its method or settings no longer.
    """
    method, values = method_of(run)
    stages = sum(stage.epochs > 0 for stage in method.stages(values))
    found = run.load_state()
    if found is None:
        return None if run.weights.is_file() else 0
    return found[0]["step"] if found[0]["stage"] < stages else None


def note_resumed(run: RunFolder, device: torch.device, processes: int) -> None:
    """Write down that this process goes on with a run, where there is anything left to do.

    Raises:
        ResourceError: when the disk is full or closed.
    """
    step = unfinished_at(run)
    if step is None:
        return
    line = {"step": step, **circumstances(device, processes)}
    line["date"] = datetime.now(UTC).isoformat(timespec="seconds")
    path = run.path / RESUMED
    with disk_errors(path), path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def recorded(run: RunFolder) -> list[Mapping[str, Any]]:
    """Of each process that trained a run, the first one first.

    Raises:
        ArtifactError: when what was written of a later one is broken.
    """
    path = run.path / RESUMED
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    try:
        return [run.facts, *(json.loads(line) for line in lines)]
    except ValueError as error:
        raise ArtifactError(f"'{path}' is broken ({error}). Take the line out, or train again.") from error


def threads_of(run: RunFolder) -> int | None:
    """How many threads a run was begun with; None where that was not written down."""
    return run.facts.get("machine", {}).get(THREADS)


def what_changed(run: RunFolder, now: Mapping[str, Any]) -> dict[str, tuple[list[Any], Any]]:
    """Name -> (what it was while the run was trained, what it is now), where that is not the same.

    What the run's record does not say is not among them.
    """
    then, here = [_flat(process) for process in recorded(run)], _flat(now)
    changed = {}
    for name in dict.fromkeys(name for process in (here, *then) for name in process):
        was = list(dict.fromkeys(process[name] for process in then if name in process))
        if was not in ([], [here.get(name)]):
            changed[name] = (was, here.get(name))
    return changed


def unrecorded(run: RunFolder, now: Mapping[str, Any]) -> list[str]:
    """What an older record does not say of the process that began the run."""
    then = _flat(run.facts)
    return [name for name in _flat(now) if name not in then]


def _flat(found: Mapping[str, Any]) -> dict[str, Any]:
    plain = {name: found[name] for name in ("commit", "device", "processes") if name in found}
    return {**found.get("versions", {}), **plain, **found.get("machine", {})}
