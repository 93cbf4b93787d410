"""An encoder whose process is killed once, amid a shard, or hangs on a machine that will be lost."""

import os
import signal
import time
from pathlib import Path
from typing import Any

from torch import nn

from mmx.encoders.load import load_encoder

LOST = "MMX_TEST_LOST_MACHINE"
"""Set on the machine that will be lost."""


def load_doomed(folder: Path) -> nn.Module:
    """`random:resnet`; `killed` in the folder says that it happened, `hung` that it waits."""
    encoder = load_encoder("random:resnet", "image")

    def meet_fate(*_: Any) -> None:
        if LOST in os.environ:
            (folder / "hung").touch()
            signal.pause()
        try:
            (folder / "killed").touch(exist_ok=False)
        except FileExistsError:
            return
        os.kill(os.getpid(), signal.SIGKILL)

    encoder.register_forward_pre_hook(meet_fate)
    return encoder


def load_always_killed() -> nn.Module:
    """Its process never survives the first batch."""
    encoder = load_encoder("random:resnet", "image")
    encoder.register_forward_pre_hook(lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    return encoder


def wait_for(path: Path, seconds: float = 120.0) -> bool:
    """Whether a file is there in time."""
    end = time.monotonic() + seconds
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.02)
    return path.exists()
