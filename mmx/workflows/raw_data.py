"""What `prepare` reads: a corpus known by name, or one's own data."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mmx.core.corpus import Corpus, Reading
from mmx.core.discover import find_corpus, names
from mmx.core.errors import DataError, UsageError
from mmx.core.names import canonical, unknown
from mmx.core.paths import expanded
from mmx.core.reporter import Reporter
from mmx.workflows.concepts import CONCEPTS
from mmx.workflows.own_data import HUB, OWN_OPTIONS, read_own

NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,99}")


@dataclass(frozen=True)
class PrepareSettings:
    """What to prepare, from where, and how strict to be."""

    name: str
    raw: str | None = None
    """A folder, a file or `hub:owner/name`; None for a corpus that makes itself."""
    home: Path | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    on_error: str = "skip"
    max_bad: str = "1%"
    """The share of records (or of rows) that may be left out."""
    no_images: bool = False
    allow_leaks: bool = False
    seed: int = 0
    workers: int | None = None
    dry_run: bool = False


def read_raw(name: str, settings: PrepareSettings, workplace: Path, reporter: Reporter) -> Reading:
    """The corpus of that name, or one's own data."""
    known = names("mmx.corpora")
    if name in known:
        corpus = find_corpus(name)
        options = _options(name, corpus.options, settings)
        return corpus.read(_raw_folder(name, corpus, settings, workplace), options)
    if settings.raw is None:
        raise UsageError(
            f"{unknown('dataset', settings.name, known, 'mmx datasets')}. "
            "For data of your own add --raw with a folder, a CSV or JSONL file, parquet, or hub:owner/name."
        )
    if not NAME.fullmatch(name):
        raise UsageError(
            f"'{settings.name}' cannot be the name of a dataset. "
            "Use letters, digits, hyphens and dots, like my-photos."
        )
    return read_own(settings.raw, _options(name, OWN_OPTIONS, settings), workplace, reporter)


def _raw_folder(name: str, corpus: Corpus, settings: PrepareSettings, workplace: Path) -> Path:
    if not corpus.needs_raw:
        if settings.raw is not None:
            raise UsageError(f"'{name}' is made by mmx and reads nothing. Leave out --raw '{settings.raw}'.")
        return workplace
    if settings.raw is None:
        raise UsageError(
            f"'{name}' needs its files: mmx prepare {name} --raw FOLDER. Expected there: {corpus.layout}"
        )
    raw = expanded(settings.raw)
    if raw.is_file() or settings.raw.startswith(HUB):
        raise UsageError(
            f"'{name}' is a published data set; it is read from a folder, not from '{settings.raw}'. "
            f"For data of your own take another name: mmx prepare my-{name} --raw {settings.raw}"
        )
    if not raw.is_dir():
        raise DataError(f"there is no folder '{settings.raw}'. Expected in it: {corpus.layout}")
    return raw


def _options(name: str, defaults: Mapping[str, str], settings: PrepareSettings) -> dict[str, str]:
    """Defaults, then `--seed`, then `--set`; how many concepts are counted is no matter of reading."""
    given = {canonical(option).replace("-", "_"): value for option, value in settings.options.items()}
    given.pop(CONCEPTS, None)
    for option in given:
        if option not in defaults:
            example = next(iter(defaults), CONCEPTS)
            raise unknown("option", option, [*defaults, CONCEPTS], f"mmx prepare {name} --set {example}=...")
    seeded = {"seed": str(settings.seed)} if "seed" in defaults else {}
    return {**defaults, **seeded, **given}
