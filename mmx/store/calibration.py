"""Calibration of a run: the cut-offs that were measured on val, kept beside its weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mmx.core.errors import ArtifactError
from mmx.store.kinds import check_kind
from mmx.store.sealed import read_sealed, write_sealed

FORMAT, VERSION = "mmx.calibration", 1
AGAIN = "Remove it: it is measured again."
NAME = "calibration.json"
PERCENTS = range(1, 100)


@dataclass(frozen=True)
class Calibration:
    """Percent of right pairs above -> the cosine, and the share of all pairs above it."""

    fingerprint: str
    """Of the weights."""
    measured_on: str
    """The dataset and its split."""
    pictures: int
    sentences: int
    cut_offs: Mapping[int, tuple[float, float]]

    def save(self, run: Path) -> None:
        """Write it into a run's folder.

        Raises:
            ResourceError: when the disk is full or closed.
        """
        cuts = {str(percent): list(cut) for percent, cut in self.cut_offs.items()}
        write_sealed(run / NAME, {"format": FORMAT, "version": VERSION, **vars(self), "cut_offs": cuts})

    @classmethod
    def open(cls, run: Path, fingerprint: str) -> "Calibration | None":
        """That of a run; None where there is none of these weights.

        Raises:
            ArtifactError: when the file is broken or of another version.
        """
        path = run / NAME
        if not path.is_file():
            return None
        found = read_sealed(path, AGAIN)
        check_kind(path, found, FORMAT, VERSION, AGAIN)
        del found["format"], found["version"]
        try:
            cuts = {
                int(percent): (float(cut), float(kept)) for percent, (cut, kept) in found["cut_offs"].items()
            }
            calibration = cls(**{**found, "cut_offs": {percent: cuts[percent] for percent in PERCENTS}})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ArtifactError(f"'{path}' cannot be read ({error}). {AGAIN}") from error
        return calibration if calibration.fingerprint == fingerprint else None
