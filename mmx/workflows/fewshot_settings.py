"""What `mmx fewshot` was asked for."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmx.core.errors import UsageError
from mmx.core.home import Home
from mmx.core.paths import expanded
from mmx.workflows.shot_features import AUTO

SPLITS = ("test", "val")
PATHS = ("class_texts", "text_names", "index")


@dataclass(frozen=True)
class FewshotSettings:
    """Which classifiers, on which shots of what."""

    dataset: str
    shots: tuple[int, ...] = (16,)
    seeds: tuple[int, ...] = (1, 2, 3)
    methods: tuple[str, ...] = ()
    """Classifiers, or single rows; none named means all."""
    assignments: tuple[str, ...] = ()
    """`name=value` of `--set`, for one classifier."""
    encoder: str = AUTO
    prompts: tuple[str, ...] = ()
    class_texts: Path | None = None
    """Vectors of class names, made elsewhere."""
    text_names: Path | None = None
    """Which class each of them is of."""
    only_named: bool = False
    """Keep to the classes that have such a vector."""
    index: Path | None = None
    """A published index of shots, or a folder of them."""
    split: str = "test"
    """What is reported: `test`, or what the validation shots leave of `val`."""
    out: Path | None = None
    curve: Path | None = None
    device: str = "auto"
    home: Home = field(default_factory=Home.find)
    argv: Sequence[str] = ()


def check(settings: FewshotSettings) -> None:
    """Find out before any work what cannot be.

    Raises:
        UsageError: when numbers are out of bounds or words do not fit together.
    """
    for name, numbers, least in (("shots", settings.shots, 1), ("seeds", settings.seeds, 0)):
        if not numbers or min(numbers) < least or len(set(numbers)) < len(numbers):
            raise UsageError(
                f"--{name} {','.join(map(str, numbers)) or 'of nothing'} is not possible: whole numbers from "
                f"{least} on, each once."
            )
    if settings.split not in SPLITS:
        raise UsageError(
            f"--split '{settings.split}' cannot be reported: {' or '.join(SPLITS)}; train is learned from."
        )
    if settings.class_texts is None and (settings.text_names or settings.only_named):
        raise UsageError("--text-names and --only-named go with --class-texts FILE.")
    if settings.class_texts is not None and settings.prompts:
        raise UsageError("--prompt and --class-texts both say what stands for a class. Name one of them.")


def asked_of(settings: FewshotSettings) -> dict[str, Any]:
    """What decides the shots and texts of a comparison beside its seed, to be asked for again."""
    paths = {name: getattr(settings, name) for name in PATHS}
    return {
        **{name: path and str(expanded(path).absolute()) for name, path in paths.items()},
        "encoder": settings.encoder,
        "prompts": list(settings.prompts),
        "only_named": settings.only_named,
        "split": settings.split,
    }


def asked_again(asked: Mapping[str, Any]) -> dict[str, Any]:
    """What `asked_of` gave, as fields of the settings."""
    paths = {name: asked[name] and Path(asked[name]) for name in PATHS}
    return {**asked, **paths, "prompts": tuple(asked["prompts"])}


def read_numbers(text: str, option: str) -> tuple[int, ...]:
    """`1,2,4` as (1, 2, 4).

    Raises:
        UsageError: for anything else.
    """
    if not re.fullmatch(r"\d{1,9}(,\d{1,9})*", text.strip()):
        raise UsageError(f"{option} '{text}' is not a list of whole numbers. Write it like {option} 1,4,16.")
    return tuple(int(number) for number in text.strip().split(","))
