"""A small mh-cvse: the tiny preset without dropout, for tests."""

from mmx.core.discover import find_method
from mmx.core.settings import resolve
from mmx.methods.mh_cvse.settings import MhCvseSettings

METHOD = find_method("mh-cvse")
STILL = {"text_dropout": 0.0, "attention_dropout": 0.0, "gate_dropout": 0.0}


def preset(name: str | None = None, **changes: object) -> MhCvseSettings:
    """A preset, or the defaults, with changes laid over it."""
    return resolve(MhCvseSettings, [(str(name), METHOD.presets.get(name, {})), ("test", changes)], "")[0]


def tiny(**changes: object) -> MhCvseSettings:
    """The tiny preset without dropout, with changes laid over it."""
    return preset("tiny", **STILL, **changes)
