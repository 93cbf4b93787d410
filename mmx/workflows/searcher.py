"""The run or model that searches: the one named, the newest run, or the one that comes with mmx."""

from pathlib import Path

from mmx.core.errors import ArtifactError
from mmx.core.reporter import Reporter
from mmx.store.run import find_run, newest_run
from mmx.store.shipped import shipped_run
from mmx.workflows.matcher import Matcher, open_matcher
from mmx.workflows.search_settings import SearchSettings


def open_searcher(settings: SearchSettings, reporter: Reporter) -> Matcher:
    """The run or model to search with. Where none is named it is the newest run; of a folder of photos, where
    there is no run either, the run that comes with mmx. What was chosen is told.

    Raises:
        ArtifactError: when there is none, or it cannot be opened.
        MissingExtraError: when its towers are not installed.
    """
    run = settings.run
    if run is not None:
        run = _named(run, settings)
    elif settings.model is None:
        run = _chosen(settings, reporter)
    return open_matcher(run, settings.model, settings.home, settings.device)


def _named(run: Path, settings: SearchSettings) -> Path:
    """A run by its name or place; that of the one that comes with mmx is a name, too."""
    shipped = shipped_run()
    if shipped is not None and str(run) == shipped.name and not (settings.home.runs / run).exists():
        return shipped
    return find_run(run, settings.home.runs).path


def _chosen(settings: SearchSettings, reporter: Reporter) -> Path:
    newest, shipped = newest_run(settings.home.runs, "retrieval"), shipped_run()
    if newest is not None:
        others = "--run NAME" if shipped is None else f"--run NAME; '{shipped.name}' comes with mmx"
        reporter.info(f"searching with the newest run, '{newest.name}' (another: {others})")
        return newest.path
    if settings.folder is not None and shipped is not None:
        reporter.info(
            f"searching with '{shipped.name}', which comes with mmx: no run in '{settings.home.runs}' "
            "(another: --model NAME)"
        )
        return shipped
    raise ArtifactError(
        f"there is no run in '{settings.home.runs}' that can search. Either train one:\n"
        "  mmx prepare toy && mmx train attention-clip --dataset toy\n"
        "or search a folder of photos with a pretrained pair of towers, from a hub or from a folder:\n"
        '  mmx search "man riding cycle" --in DIR --model hub:openai/clip-vit-base-patch32\n'
        '  mmx search "man riding cycle" --in DIR --model file:PATH'
    )
