"""What `mmx train` was asked for, and what is refused of it before any work."""

import re
from dataclasses import dataclass, field, replace
from pathlib import Path

from mmx.core.device import default_precision, find_device
from mmx.core.errors import UsageError
from mmx.engine.precision import PRECISIONS
from mmx.engine.train_options import TrainOptions
from mmx.workflows.method_settings import Wishes

AUTO = "auto"
UNITS = {"": 0, "s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True)
class TrainSettings:
    """What `mmx train` was asked for."""

    method: str | None = None
    dataset: str | None = None
    wishes: Wishes = field(default_factory=Wishes)
    seed: int | None = None
    """None for 0, or for that of the run that is resumed."""
    device: str = "auto"
    precision: str | None = None
    """None for `auto`, or for that of the run that is resumed."""
    out: Path | None = None
    init: Path | None = None
    """A run whose weights are the start."""
    resume: Path | None = None
    again: Path | None = None
    """A whole run that is trained once more, from its record alone."""
    save_every: str | None = None
    """Steps (`500`) or time (`300s`, `10m`) between two saved states, besides the one after each epoch."""
    workers: int | None = None
    chunk: int | None = None
    """Images of a batch that are held at a time; None for all, or for that of the run that is resumed."""
    home: Path | None = None
    argv: tuple[str, ...] = ()


def read_options(settings: TrainSettings) -> TrainOptions:
    """How the engine is to train.

    Raises:
        UsageError: for a precision or an interval that is none.
        DeviceError: when the device is not there.
    """
    precision, known = settings.precision or AUTO, (AUTO, *PRECISIONS)
    if precision not in known:
        raise UsageError(f"there is no precision '{precision}'. There are: {', '.join(known)}.")
    device = find_device(settings.device)
    precision = default_precision(device) if precision == AUTO else precision
    steps, seconds = parse_interval(settings.save_every)
    options = TrainOptions(
        settings.seed or 0,
        device,
        precision,
        workers=settings.workers,
        chunk=settings.chunk,
        save_steps=steps,
    )
    return options if seconds is None else replace(options, save_seconds=seconds)


def parse_interval(text: str | None) -> tuple[int | None, float | None]:
    """`500` as steps, `300s`, `10m` or `1h` as seconds.

    Raises:
        UsageError: for anything else.
    """
    if text is None:
        return None, None
    found = re.fullmatch(r"(\d+)([smh]?)", text.strip())
    if found is None or int(found[1]) == 0:
        raise UsageError(
            f"'{text}' is not an interval. Write steps (--save-every 500) or time (300s, 10m, 1h)."
        )
    count, unit = int(found[1]), UNITS[found[2]]
    return (None, float(count * unit)) if unit else (count, None)
