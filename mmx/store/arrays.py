"""The tensors of a safetensors file as numpy arrays, memory-mapped; for what is to be read without torch."""

import json
from pathlib import Path

import numpy
from safetensors import SafetensorError, safe_open

from mmx.core.errors import ArtifactError
from mmx.store.sums import SUMS, bytes_sum, form_sum

KINDS = {"F32": numpy.float32, "F16": numpy.float16, "I64": numpy.int64, "I8": numpy.int8, "U8": numpy.uint8}
"""Types of numbers that numpy has, by the names of the format."""
LENGTH = 8
"""Bytes before the header, that say how long it is."""


def open_safely(path: Path, framework: str) -> safe_open:
    """The library's view of a safetensors file, whose numbers come in arrays of the framework.

    Raises:
        ArtifactError: when it is absent, or is not a safetensors file.
    """
    if not path.is_file():
        raise ArtifactError(f"there is no file '{path}'. Make it again, or name another.")
    try:
        return safe_open(path, framework=framework)
    except (SafetensorError, OSError, ValueError) as error:
        raise ArtifactError(f"'{path}' is not a whole safetensors file ({error}). Make it again.") from error


class ArrayFile:
    """A safetensors file opened for reading; see `TensorFile`, whose checks are the same."""

    def __init__(self, path: Path) -> None:
        """Open the file, and compare its header with its checksum; files of others have none.

        Raises:
            ArtifactError: when it is absent, is not a safetensors file, or its header was changed.
        """
        self.path = path
        # The library looks at every offset and shape, so that what is read below lies in the file.
        with open_safely(path, "np") as file:
            self.metadata: dict[str, str] = file.metadata() or {}
        with path.open("rb") as file:
            header = int.from_bytes(file.read(LENGTH), "little")
            self._forms = json.loads(file.read(header))
        self._forms.pop("__metadata__", None)
        self._data = LENGTH + header
        sums = self._forms.get(SUMS) and self.read(SUMS)
        self.names = sorted(name for name in self._forms if name != SUMS)
        self._sums = None if sums is None else self._checked(sums)

    def read(self, name: str) -> numpy.ndarray:
        """One array, memory-mapped.

        Raises:
            ArtifactError: when the file does not hold it, or numpy has not its type.
        """
        form = self._forms.get(name)
        if form is None or form["dtype"] not in KINDS:
            raise ArtifactError(f"'{self.path}' holds no '{name}' that can be read. Make it again.")
        if not numpy.prod(form["shape"]):
            return numpy.empty(form["shape"], KINDS[form["dtype"]])
        start = self._data + form["data_offsets"][0]
        return numpy.memmap(self.path, KINDS[form["dtype"]], "r", start, tuple(form["shape"]))

    def check(self, name: str) -> None:
        """Read the numbers of an array and compare them with their checksum, where there is one.

        Raises:
            ArtifactError: when they are not those that were written.
        """
        if (
            self._sums is not None
            and bytes_sum(self.read(name).reshape(-1).view(numpy.uint8)) != self._sums[name]
        ):
            raise ArtifactError(
                f"the bytes of '{name}' in '{self.path}' are not those that were written. Make it again."
            )

    def _checked(self, sums: numpy.ndarray) -> dict[str, int]:
        kinds = {name: KINDS.get(self._forms[name]["dtype"]) for name in self.names}
        forms = {
            name: (f"torch.{numpy.dtype(kind)}", self._forms[name]["shape"])
            for name, kind in kinds.items()
            if kind
        }
        fits = sums.shape == (1 + len(self.names),) and len(forms) == len(self.names)
        if not fits or int(sums[0]) != form_sum(self.metadata, forms):
            raise ArtifactError(
                f"the header of '{self.path}' is not the one that was written. Make it again."
            )
        return dict(zip(self.names, sums[1:].tolist(), strict=True))
