"""Where the exported towers of a run are looked for; needs no torch."""

from pathlib import Path

from mmx.core.home import Home
from mmx.store.onnx_towers import FOLDER
from mmx.store.shipped import is_shipped


def towers_place(run: Path, home: Home) -> Path:
    """Beside the weights of a run; of one that came with mmx, whose folder is not to be written, in the
    home.
    """
    if is_shipped(run):
        return home.root / "exports" / run.name
    return run / FOLDER
