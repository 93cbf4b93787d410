"""`mmx train` of a method that learns from a few shots: one row of what `mmx fewshot` compares."""

from collections import Counter
from dataclasses import replace

from mmx.core.errors import UsageError
from mmx.core.home import Home
from mmx.core.present import present
from mmx.core.reporter import Reporter
from mmx.engine.train_options import TrainResult
from mmx.workflows.contenders import Contender
from mmx.workflows.episodes import open_labelled
from mmx.workflows.fewshot import compare
from mmx.workflows.fewshot_settings import FewshotSettings
from mmx.workflows.method_settings import ResolvedMethod
from mmx.workflows.shots import MOST_VAL
from mmx.workflows.train_settings import TrainSettings


def train_classifier(resolved: ResolvedMethod, settings: TrainSettings, reporter: Reporter) -> TrainResult:
    """Draw shots by the seed, learn from them, and keep the run; its table is of what validation shots leave
    of val, or of test where they take all of it.

    Raises:
        UsageError: for what only a training in epochs has.
        ArtifactError, DataError, ResourceError: see `fewshot.compare`.
    """
    refused = {
        "--init": settings.init,
        "--save-every": settings.save_every,
        "--workers": settings.workers,
        "--chunk": settings.chunk,
        "--precision": None if settings.precision in (None, "auto", "fp32") else settings.precision,
    }
    given = [option for option, value in refused.items() if value is not None]
    if given:
        raise UsageError(
            f"'{resolved.name}' learns from a few shots in memory, in full precision: leave out "
            f"{', '.join(given)}."
        )
    seed, values = settings.seed or 0, resolved.settings
    contender = Contender(resolved.name, resolved.name, resolved.method, vars(values), "train")
    asked = FewshotSettings(
        dataset=present(settings.dataset),
        shots=(values.shots,),
        seeds=(seed,),
        encoder=values.encoder,
        split="val",
        out=settings.out,
        device=settings.device,
        home=Home.find(settings.home),
        argv=settings.argv,
    )
    asked = replace(asked, split=_reported(asked))
    table = compare(asked, [contender], reporter)
    trial = table.trials[0]
    metrics = {"accuracy": trial.val_accuracy, "log_loss": trial.val_loss}
    return TrainResult(table.run, resolved.name, 1, 0, metrics, 0, table.seconds)


def _reported(asked: FewshotSettings) -> str:
    """`val`, if a class has more of it than validation shots are drawn; else `test`, where there is one."""
    manifest = open_labelled(asked)
    counts = Counter(record.label for record in manifest.split("val") if record.label is not None)
    left = any(count > min(asked.shots[0], MOST_VAL) for count in counts.values())
    return "val" if left or "test" not in manifest.splits else "test"
