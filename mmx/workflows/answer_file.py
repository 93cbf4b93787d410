"""What a run answered over a split, in a file of the run: ranks, or labels."""

from pathlib import Path

from mmx.core.errors import ArtifactError
from mmx.store.tensors import TensorFile


def open_answers(path: Path, form: str, version: str) -> TensorFile | None:
    """The file, whose format is `mmx.` and what it holds; None where there is none.

    Raises:
        ArtifactError: when it is of another format or version, or damaged.
    """
    if not path.is_file():
        return None
    file = TensorFile(path)
    if (file.metadata.get("format"), file.metadata.get("version")) != (form, version):
        kind = form.removeprefix("mmx.")
        raise ArtifactError(
            f"'{path}' does not hold {kind} of version {version}. Delete it and evaluate again."
        )
    return file
