"""A home with drawn people and runs that search them, built once for all tests that only read it."""

import shutil
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from mmx.core.home import Home
from mmx.core.reporter import SilentReporter
from mmx.workflows.method_settings import Wishes
from mmx.workflows.prepare import prepare
from mmx.workflows.raw_data import PrepareSettings
from mmx.workflows.train import TrainSettings, train

FOLDER = TemporaryDirectory(prefix="mmx-people-")
"""Goes with the process."""
RUNS = {
    "twice": ("attention=cross", "cross_epochs=1", "cross_lr=0.01", "lr=0.01"),
    "once": ("attention=none", "identity_loss=1", "loss=sdm"),
    "leaky": ("attention=cross_leaky", "captions_per_image=1"),
}
PIXELS = ("train_image=true", "train_text=true", "image_size=48x16", "augment=person", "masked_words=0")


def person_home(folder: Path) -> Home:
    """A copy that a test may change."""
    shutil.copytree(_built().root, folder)
    return Home(folder)


@cache
def _built() -> Home:
    home, quiet = Home(Path(FOLDER.name)), SilentReporter()
    options = {"identities": "24", "crops": "2", "height": "48"}
    prepare(PrepareSettings("pedestrians", options=options, home=home.root), quiet)
    for name, changes in RUNS.items():
        wishes = Wishes(preset="tiny", assignments=(*PIXELS, "epochs=1", *changes))
        settings = TrainSettings(
            "attention-clip", "pedestrians", wishes, 0, "cpu", workers=0, out=home.runs / name, home=home.root
        )
        train(settings, quiet)
    return home
