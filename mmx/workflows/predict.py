"""What a run says of new inputs: photos for a few-shot classifier, a table of posts for what reads posts."""

from dataclasses import dataclass, field
from pathlib import Path

from mmx.core.errors import UsageError
from mmx.core.home import Home
from mmx.core.reporter import Reporter
from mmx.store.run import find_run
from mmx.workflows.head_run import is_head
from mmx.workflows.predict_photos import PhotoPredictions, predict_photos
from mmx.workflows.predict_posts import PostPredictions, predict_posts


@dataclass(frozen=True)
class PredictSettings:
    """Which run, of what, and how much is shown."""

    run: Path
    inputs: tuple[Path, ...]
    top: int = 3
    """Of photos: classes shown of each."""
    explain: bool = False
    """Of photos: show what the gate opened."""
    device: str = "auto"
    home: Home = field(default_factory=Home.find)


def predict(settings: PredictSettings, reporter: Reporter) -> PhotoPredictions | PostPredictions:
    """The predictions of a run, by what it was trained for.

    Raises:
        UsageError: when the run predicts nothing, or options do not fit it.
        ArtifactError: when the run or its weights are not there.
        DataError: when there is nothing that can be read.
    """
    folder = find_run(settings.run, settings.home.runs)
    if is_head(folder):
        read = (settings.inputs, settings.home, settings.device, settings.top, settings.explain)
        return predict_photos(folder, *read, reporter)
    if "retrieval" in folder.facts["tasks"]:
        raise UsageError(
            f"'{folder.path}' matches pictures and words, and labels nothing. Search with it: mmx search"
        )
    if settings.explain:
        raise UsageError(f"'{folder.path}' labels posts: leave out --explain.")
    if len(settings.inputs) != 1:
        raise UsageError(
            f"'{folder.path}' labels the posts of one table; {len(settings.inputs)} inputs were given."
        )
    return predict_posts(folder.path, settings.inputs[0], settings.home, settings.device, reporter)
