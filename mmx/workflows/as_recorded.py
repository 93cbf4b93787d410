"""What a run that goes on, or is trained again, must find as its record has it."""

from pathlib import Path

from mmx.core.errors import ArtifactError
from mmx.store.assets import assets_fingerprint
from mmx.store.run import RunFolder
from mmx.workflows.assemble import Assembly


def check_same(run: RunFolder, assembly: Assembly) -> None:
    """The corpus and the towers must be those that the run began with.

    Raises:
        ArtifactError: when one is another now.
    """
    if run.facts["manifest_fingerprint"] != assembly.manifest.fingerprint:
        raise ArtifactError(
            f"'{run.path}' began on '{assembly.manifest.name}' with fingerprint "
            f"{run.facts['manifest_fingerprint']}; it has been prepared anew since, as "
            f"{assembly.manifest.fingerprint}. Start a new run."
        )
    for modality, fact in run.facts["towers"].items():
        now = assembly.facts[modality]["fingerprint"]
        if now != fact["fingerprint"]:
            raise ArtifactError(
                f"'{run.path}' began with the {modality} encoder '{fact['encoder']}', fingerprint "
                f"{fact['fingerprint']}; here it has {now}. Bring those weights back, or start a new run."
            )


def check_same_assets(run: RunFolder, assembly: Assembly) -> None:
    """What is counted before training must be what the run counted.

    Raises:
        ArtifactError: when it is something else.
    """
    then, now = run.facts.get("assets", ""), assets_fingerprint(assembly.fitted.assets)
    if then != now:
        raise ArtifactError(
            f"'{run.path}' counted something else before training: fingerprint '{then}', now '{now}'. The "
            "data are the same, so that what counts is of another version: bring back the packages of its "
            "record."
        )


def start_of(run: RunFolder) -> RunFolder | None:
    """The run whose weights were the start; None where a run began with its own.

    Raises:
        ArtifactError: when it is gone or has other weights now.
    """
    init = run.facts.get("init")
    if init is None:
        return None
    # runs that were moved to another home together still find each other
    places = [Path(init["run"]), run.path.parent / Path(init["run"]).name]
    start = RunFolder.open(next((path for path in places if path.is_dir()), places[0]))
    if start.fingerprint != init["fingerprint"]:
        raise ArtifactError(
            f"'{run.path}' was to start from '{start.path}' with fingerprint '{init['fingerprint']}'; it has "
            f"'{start.fingerprint}' now. Start a new run."
        )
    return start
