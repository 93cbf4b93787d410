"""The run or model that searches: the one named, the newest run, or the one that comes with mmx."""

from collections.abc import Mapping
from pathlib import Path

from mmx.core.errors import ArtifactError
from mmx.core.home import Home
from mmx.core.reporter import Reporter
from mmx.store.run import find_run
from mmx.store.shipped import shipped_run
from mmx.workflows.chosen_run import choose_run
from mmx.workflows.index_address import maker_of
from mmx.workflows.index_places import said_maker
from mmx.workflows.matcher import Matcher, open_matcher
from mmx.workflows.search_settings import SearchSettings, shown


def open_searcher(settings: SearchSettings, reporter: Reporter) -> Matcher:
    """The run or model to search with. Where none is named it is what made the index that is named, or else
    the newest run; of a folder of photos, where there is no run either, the run that comes with mmx. What was
    chosen is told.

    Raises:
        ArtifactError: when there is none, or it cannot be opened.
        MissingExtraError: when its towers are not installed.
    """
    run = settings.run
    if run is None and settings.model is None and settings.index is not None:
        return open_maker(*maker_of(settings.index), settings.home, settings.device)
    if run is not None:
        run = find_run(run, settings.home.runs).path
    elif settings.model is None:
        run, remark = choose_run(settings)
        reporter.info(remark)
    return open_matcher(run, settings.model, settings.home, settings.device)


def open_maker(
    made_by: Mapping[str, str] | None, fingerprint: str, source: str, home: Home, device: str
) -> Matcher:
    """What made an index, opened again.

    Args:
        made_by: how it was opened, `{"run": folder}` or `{"model": name}`; None where that was not kept.
        fingerprint: that it had.
        source: the folder of photos.
        home: where runs and models are.
        device: what it computes on.

    Raises:
        ArtifactError: when that is not known, gone, or has changed since.
    """
    if made_by is None:
        raise ArtifactError(
            f"the index of '{shown(source)}' is of an earlier version and does not say what made it. Name it:"
            " --run NAME or --model NAME"
        )
    run = made_by.get("run")
    if run is not None and not Path(run).exists() and shipped_run() is not None:
        # A package that was installed anew lies elsewhere; its fingerprint tells whether it is the same run.
        run = str(shipped_run())
    matcher = open_matcher(None if run is None else Path(run), made_by.get("model"), home, device)
    if matcher.fingerprint != fingerprint:
        raise ArtifactError(
            f"the index of '{shown(source)}' was made by '{said_maker(made_by)}' with fingerprint "
            f"'{fingerprint}', and that has '{matcher.fingerprint}' now. Name what made it (--run NAME or "
            "--model NAME), or make another: mmx index add DIR"
        )
    return matcher
