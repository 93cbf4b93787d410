"""One training for each of several seeds: a folder a seed, and their mean and spread."""

import dataclasses
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmx.core.errors import Interrupted, MmxError, UsageError
from mmx.core.home import Home
from mmx.core.names import canonical
from mmx.core.present import present
from mmx.core.reporter import Reporter
from mmx.store.atomic import check_makeable, write_json
from mmx.store.run import RunFolder, find_run
from mmx.workflows.head_run import is_head
from mmx.workflows.method_settings import resolve_method
from mmx.workflows.opened_run import method_of
from mmx.workflows.train import CURVES, train
from mmx.workflows.train_settings import TrainSettings

TABLE = "seeds.json"
SEED_FOLDER = re.compile(r"seed-(\d+)")
SCHEMA = "mmx.train-seeds/1"


@dataclass(frozen=True)
class SeedRow:
    """One seed, its run, and what that reaches on val; or why it reached nothing."""

    seed: int
    run: str
    metrics: dict[str, float]
    error: str | None = None


@dataclass(frozen=True)
class SeedsResult:
    """All seeds in the order asked for."""

    metric: str
    """What weights were selected by."""
    rows: tuple[SeedRow, ...]
    folder: Path
    broken: dict[int, MmxError] = field(default_factory=dict)
    """Seed -> why it came to nothing."""

    @property
    def whole(self) -> list[SeedRow]:
        """Those that came to an end."""
        return [row for row in self.rows if row.error is None]

    @property
    def mean(self) -> dict[str, float]:
        """Of each metric on val, over the seeds that came to an end."""
        return {name: statistics.fmean(values) for name, values in self._values().items()}

    @property
    def deviation(self) -> dict[str, float]:
        """Sample standard deviation over these seeds; 0 of one."""
        return {
            name: statistics.stdev(values) if len(values) > 1 else 0.0
            for name, values in self._values().items()
        }

    def document(self) -> dict[str, Any]:
        """The result as one JSON document."""
        return {
            "schema": SCHEMA,
            "metric": self.metric,
            "seeds": [dataclasses.asdict(row) for row in self.rows],
            "mean": self.mean,
            "deviation": self.deviation,
            "folder": str(self.folder),
        }

    def _values(self) -> dict[str, list[float]]:
        whole = self.whole
        return {name: [row.metrics[name] for row in whole] for name in (whole[0].metrics if whole else ())}


def train_seeds(seeds: Sequence[int], settings: TrainSettings, reporter: Reporter) -> SeedsResult:
    """Train once for each seed; a run that is whole in the folder already is taken as it is, and one that was
    stopped goes on. A seed that breaks is told of and loses no other one's result.

    Raises:
        UsageError: when the words do not fit together, or the folder holds a run of other settings.
        Interrupted: after a signal to stop; what is done is kept.
        And whatever `train` raises, when no seed comes to an end.
    """
    if settings.resume is not None:
        raise UsageError("--resume goes on with one run, which has its seed: leave out --seeds.")
    if settings.seed is not None:
        raise UsageError("--seed (or MMX_SEED) and --seeds were both given. Leave out one of them.")
    if settings.method is None or settings.dataset is None:
        raise UsageError("name a method and a dataset: mmx train METHOD --dataset NAME --seeds 1,2,3")
    resolve_method(settings.method, settings.wishes)
    start = f"{canonical(settings.method)}-{canonical(settings.dataset)}-seeds"
    folder = settings.out or Home.find(settings.home).new_run(start)
    check_makeable(folder)
    result = SeedsResult("", (), folder)
    for place, seed in enumerate(seeds, start=1):
        out = folder / f"seed-{seed}"
        reporter.info(f"seed {seed} ({place} of {len(seeds)})")
        try:
            train_or_go_on(dataclasses.replace(settings, seed=seed, out=out), reporter)
        except Interrupted as error:
            raise Interrupted(
                f"stopped in seed {seed}, the {place}. of {len(seeds)}; everything is saved. The same "
                f"command goes on with --out {folder}"
            ) from error
        except MmxError as error:
            if not result.rows and not (out / "settings.json").is_file():
                raise  # what hinders the first seed before it has begun hinders all
            reporter.warn(f"seed {seed}: {error}")
            row = SeedRow(seed, str(out), {}, str(error))
            broken = {**result.broken, seed: error}
            result = dataclasses.replace(result, rows=(*result.rows, row), broken=broken)
        else:
            found = RunFolder.open(out).metrics()
            rows = (*result.rows, SeedRow(seed, str(out), found["val"]))
            result = dataclasses.replace(result, metric=found["primary_metric"], rows=rows)
            write_json(folder / TABLE, result.document())
    if not result.whole:
        raise next(iter(result.broken.values()))
    write_json(folder / TABLE, result.document())
    return result


def train_or_go_on(asked: TrainSettings, reporter: Reporter) -> None:
    """Train into a folder; or train the run that it holds to its end, if it is the one that is asked for.

    Raises:
        UsageError: when it holds another one.
        And whatever `train` raises.
    """
    out = present(asked.out)
    if not (out / "settings.json").is_file():
        train(asked, reporter)
        return
    run = RunFolder.open(out)
    facts, wanted = run.facts, resolve_method(present(asked.method), asked.wishes)
    if is_head(run):
        raise UsageError(f"'{run.path}' holds a classifier already. Name another folder with --out.")
    start = (
        None if asked.init is None else str(find_run(asked.init, Home.find(asked.home).runs).path.absolute())
    )
    same = (wanted.name, canonical(present(asked.dataset)), asked.seed or 0, start)
    kept = (facts["method"], facts["dataset"], facts["seed"], (facts.get("init") or {}).get("run"))
    if kept != same or method_of(run)[1] != wanted.settings:
        raise UsageError(
            f"'{run.path}' was trained with other settings, data or seed. Name another folder with --out."
        )
    if not (run.path / CURVES).is_file():
        again = TrainSettings(
            device=asked.device,
            resume=run.path,
            workers=asked.workers,
            save_every=asked.save_every,
            home=asked.home,
        )
        train(again, reporter)


def runs_of_seeds(given: Path, home: Home) -> list[Path]:
    """The runs in a folder of seeds, by rising seed; none where it is no such folder."""
    folder = given if given.exists() else home.runs / given
    if not (folder / TABLE).is_file():
        return []
    there = {found[1]: path for path in folder.iterdir() if (found := SEED_FOLDER.fullmatch(path.name))}
    runs = [there[number] for number in sorted(there, key=int)]
    return [path for path in runs if (path / "settings.json").is_file()]
