"""The run that searches where none is named; needs no torch."""

from pathlib import Path

from mmx.core.errors import ArtifactError
from mmx.store.run_record import newest_record
from mmx.store.shipped import shipped_run
from mmx.workflows.search_settings import SearchSettings


def choose_run(settings: SearchSettings) -> tuple[Path, str]:
    """The newest run; of a folder of photos, where there is none, the one that comes with mmx. The remark
    says which it is, and how another is named.

    Raises:
        ArtifactError: when there is none.
    """
    newest, shipped = newest_record(settings.home.runs, "retrieval"), shipped_run()
    if newest is not None:
        others = "--run NAME" if shipped is None else f"--run NAME; '{shipped.name}' comes with mmx"
        return newest.path, f"searching with the newest run, '{newest.name}' (another: {others})"
    if settings.folder is not None and shipped is not None:
        return shipped, (
            f"searching with '{shipped.name}', which comes with mmx: no run in '{settings.home.runs}' "
            "(another: --model NAME)"
        )
    raise ArtifactError(
        f"there is no run in '{settings.home.runs}' that can search. Either train one:\n"
        "  mmx prepare toy && mmx train attention-clip --dataset toy\n"
        "or search a folder of photos with a pretrained pair of towers, from a hub or from a folder:\n"
        '  mmx search "man riding cycle" --in DIR --model hub:openai/clip-vit-base-patch32\n'
        '  mmx search "man riding cycle" --in DIR --model file:PATH'
    )
