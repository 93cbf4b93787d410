"""Where mmx keeps its artefacts: one home with `datasets`, `features`, `runs` and `indexes`."""

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from mmx.core.names import canonical
from mmx.core.paths import expanded


@dataclass(frozen=True)
class Home:
    """The folder that holds every artefact unless a command names another place."""

    root: Path

    @classmethod
    def find(cls, given: Path | None = None) -> "Home":
        """`--home`, else `$MMX_HOME`, else `~/.local/share/mmx`."""
        chosen = given or os.environ.get("MMX_HOME") or Path.home() / ".local" / "share" / "mmx"
        return cls(expanded(chosen).absolute())

    def dataset(self, name: str) -> Path:
        """Folder of a prepared corpus."""
        return self.root / "datasets" / canonical(name)

    def features(self, corpus: str, encoder: str) -> Path:
        """Folder of one encoder's features over one corpus; `encoder` is its slug."""
        return self.root / "features" / canonical(corpus) / encoder

    @property
    def runs(self) -> Path:
        """Folder of all runs."""
        return self.root / "runs"

    def new_run(self, start: str) -> Path:
        """A run's folder that does not exist yet, named by its start and the time of day."""
        return first_free(self.runs / f"{start}-{datetime.now():%Y%m%d-%H%M%S}")

    @property
    def indexes(self) -> Path:
        """Folder of the galleries made from plain folders of photos."""
        return self.root / "indexes"


def first_free(path: Path) -> Path:
    """A path, or where it is taken the first of those with a number behind it, from 2 on, that is not."""
    numbered = (path.with_name(f"{path.name}-{number}") for number in range(2, 1000))
    return next(free for free in (path, *numbered) if not free.exists())
