"""Push: a run on a hub, with what others need to use it and a card written from its record."""

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

from mmx.core.discover import find_classifiers, find_method
from mmx.core.errors import MmxError, UsageError
from mmx.core.home import Home
from mmx.core.reporter import Reporter
from mmx.encoders.licence import licence_of
from mmx.encoders.load import load_encoder
from mmx.encoders.text_tower import save_tokenizer
from mmx.reports.model_card import CardFacts, TowerLine, write_card
from mmx.store.atomic import disk_errors
from mmx.store.hub_manifest import CARD, MANIFEST, PUBLISHED, write_manifest
from mmx.store.hub_push import push_folder
from mmx.store.onnx_towers import TOKENIZER
from mmx.store.run import RunFolder, find_run
from mmx.store.sealed import write_sealed
from mmx.workflows.head_run import is_head

SCHEMA = "mmx.push/1"
STAYS = (
    "lock",
    "log.jsonl",
    "state",
    "curves.png",
    "diverged.json",
    "gallery",
    "ranks",
    "onnx",
    "fewshot.json",
    "seeds.json",
)
"""What a run may hold beside what is published; it stays on this machine."""
DRAWINGS = (".png",)
LEFT_OUT = ("argv", "device", "commit")
"""What tells of the machine that trained the run."""


@dataclass(frozen=True)
class PushSettings:
    """Which run, and where to."""

    run: Path
    repository: str
    """OWNER/NAME."""
    private: bool = False
    revision: str | None = None
    """A branch; None for the main one."""
    dry_run: Path | None = None
    """A folder to write what would be pushed to, and to push nothing."""
    home: Home = field(default_factory=Home.find)


@dataclass(frozen=True)
class Pushed:
    """What was published."""

    run: str
    repository: str
    url: str | None
    """Of the commit; None where nothing was pushed."""
    files: dict[str, int]
    """Name -> bytes."""

    def document(self) -> dict[str, Any]:
        """What --json shows."""
        return {"schema": SCHEMA, **vars(self)}


def push(settings: PushSettings, reporter: Reporter) -> Pushed:
    """Publish a run: weights, settings, assets, metrics, cut-offs, tokenizer, card and manifest.

    Raises:
        UsageError: when the run holds what is no part of one, or the name cannot be a repository's.
        ArtifactError: when there is no such run, or the hub refuses or is out of reach.
        ResourceError: when there is no room for the copy that is pushed.
    """
    if settings.repository.count("/") != 1:
        raise UsageError(f"'{settings.repository}' names no repository. Write OWNER/NAME.")
    if settings.dry_run is not None and settings.dry_run.exists():
        raise UsageError(f"'{settings.dry_run}' is there already. Name a new folder.")
    run = find_run(settings.run, settings.home.runs)
    check_content(run)
    with tempfile.TemporaryDirectory(prefix="mmx-push-") as place:
        folder = Path(place)
        with disk_errors(folder):
            lay_out(run, folder, settings.repository, reporter)
        files = {path.name: path.stat().st_size for path in sorted(folder.iterdir())}
        if settings.dry_run is not None:
            with disk_errors(settings.dry_run):
                shutil.copytree(folder, settings.dry_run)
            return Pushed(run.name, settings.repository, None, files)
        url = push_folder(folder, settings.repository, settings.private, settings.revision)
    return Pushed(run.name, settings.repository, url, files)


def check_content(run: RunFolder) -> None:
    """Refuse a run that holds what nobody knows.

    Raises:
        UsageError: when it does.
        ArtifactError: when it has no weights yet.
    """
    run.need_weights()
    known = {*PUBLISHED, MANIFEST, *STAYS}
    odd = sorted(
        path.name
        for path in run.path.iterdir()
        if path.name not in known and path.suffix not in DRAWINGS and not path.name.startswith(".")
    )
    if odd:
        raise UsageError(
            f"'{run.path}' holds '{odd[0]}', which is no part of a run, so it is not pushed. Move it away."
        )


def lay_out(run: RunFolder, folder: Path, repository: str, reporter: Reporter) -> None:
    """Everything that is pushed, in an empty folder.

    Raises:
        ArtifactError: when the run cannot be read whole.
    """
    # What cannot be read whole is not passed on.
    run.assets()
    run.read_weights()
    for name in PUBLISHED:
        if name not in ("settings.json", "metrics.json", CARD, TOKENIZER) and (run.path / name).is_file():
            shutil.copyfile(run.path / name, folder / name)
    write_sealed(folder / "settings.json", _without_machine(run.facts))
    metrics = _metrics_without_machine(run.metrics())
    if metrics:
        write_sealed(folder / "metrics.json", metrics)
    _add_tokenizer(run, folder, reporter)
    names = sorted({*(path.name for path in folder.iterdir()), CARD, MANIFEST})
    card = CardFacts(
        repository,
        _summary(run),
        run.facts,
        metrics,
        [
            TowerLine(
                key, fact["encoder"], bool(fact.get("trainable")), licence_of(fact["encoder"], _modality(key))
            )
            for key, fact in run.facts["towers"].items()
        ],
        run.weights.stat().st_size / 1e6,
        names,
    )
    (folder / CARD).write_text(write_card(card), encoding="utf-8")
    write_manifest(folder, run.fingerprint)


def _without_machine(facts: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in facts.items() if name not in LEFT_OUT}
    if kept.get("init"):
        kept["init"] = {**kept["init"], "run": PurePath(kept["init"]["run"]).name}
    return kept


def _metrics_without_machine(metrics: dict[str, Any]) -> dict[str, Any]:
    """Evaluations name the run by its name, and not by where it lay, nor by what was typed."""
    if "evaluations" not in metrics:
        return metrics
    plain = [
        {
            name: PurePath(str(value)).name if name == "name" else value
            for name, value in evaluation.items()
            if name not in ("command", "device")
        }
        for evaluation in metrics["evaluations"]
    ]
    return {**metrics, "evaluations": plain}


def _add_tokenizer(run: RunFolder, folder: Path, reporter: Reporter) -> None:
    """The words of a text encoder, for other programs; mmx reads them where the encoder lies."""
    fact = run.facts["towers"].get("text")
    if fact is None:
        return
    try:
        save_tokenizer(load_encoder(fact["encoder"], "text"), folder / TOKENIZER)
    except MmxError as error:
        reporter.info(f"without '{TOKENIZER}': {error}")


def _summary(run: RunFolder) -> str:
    name = run.facts["method"]
    return find_classifiers()[name].summary if is_head(run) else find_method(name).summary


def _modality(key: str) -> str:
    """Towers are named `text`, `image` and `regions`; the last reads pictures."""
    return "text" if key == "text" else "image"
