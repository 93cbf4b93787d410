"""The one error family: each kind of failure with its exit code.

Form of a message: what is wrong, with the value in single quotes and the file named; full stop; what exists
or what to type next. Raised at the edges, caught once in `mmx.cli.app.main`.
"""


def first_line(error: BaseException) -> str:
    """What an error of a library says, as far as it fits into a message; its kind where it says nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


class MmxError(Exception):
    """Something that a user can mend; never raised itself."""

    exit_code = 1


class UsageError(MmxError):
    """The words typed do not fit the command."""

    exit_code = 2


class DataError(MmxError):
    """Data is missing, or is not what it claims to be."""

    exit_code = 3


class ArtifactError(MmxError):
    """A manifest, feature store, run or index is missing, broken, or was made from something else."""

    exit_code = 4


class DeviceError(MmxError):
    """The device asked for is not there."""

    exit_code = 5


class TrainingError(MmxError):
    """Training cannot go on: the loss is no longer a number, or another process of it is gone."""

    exit_code = 5


class ReplayError(MmxError):
    """A run was done once more and gave something else."""

    exit_code = 5


class ResourceError(MmxError):
    """The disk is full or read-only, or memory ran out."""

    exit_code = 6


class MissingExtraError(MmxError):
    """A part of mmx that is installed on request is needed and absent."""

    exit_code = 7


class PluginError(MmxError):
    """A part that another package brings is needed and cannot be used."""

    exit_code = 7


class Interrupted(MmxError):
    """Ctrl-C: the step was finished and saved; the message says how to go on."""

    exit_code = 130


class SaidElsewhere(MmxError):
    """Another process of the same training failed and says why; this one ends with the same exit code."""

    def __init__(self, exit_code: int) -> None:
        super().__init__("")
        self.exit_code = exit_code
