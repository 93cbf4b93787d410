"""Launch: which of several processes this one is, as `torchrun`, `accelerate launch` and `mpirun` tell it."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mmx.core.errors import MmxError, SaidElsewhere, UsageError

RANK = ("RANK", "PMI_RANK", "OMPI_COMM_WORLD_RANK")
SIZE = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE")
LOCAL_RANK = ("LOCAL_RANK", "MPI_LOCALRANKID", "OMPI_COMM_WORLD_LOCAL_RANK")
"""What torchrun and accelerate set, and mpirun, which accelerate starts on CPUs."""


@dataclass(frozen=True)
class Launch:
    """One process among those that do a job together."""

    rank: int = 0
    processes: int = 1
    local_rank: int = 0
    """Its number among those of its machine: which accelerator it takes."""

    @property
    def first(self) -> bool:
        """Whether it is the one that writes and speaks."""
        return self.rank == 0

    def say(self, error: MmxError) -> MmxError:
        """What to raise of an error that all processes have before they meet: the first one alone says it."""
        return error if self.first else SaidElsewhere(error.exit_code)


def find_launch(environment: Mapping[str, str] = os.environ) -> Launch:
    """This process among its fellows; alone where nobody launched several.

    Raises:
        UsageError: when the launcher's variables make no sense.
    """
    rank, processes, local = (_number(environment, names) for names in (RANK, SIZE, LOCAL_RANK))
    rank, processes, local = rank or 0, 1 if processes is None else processes, local or 0
    if not 0 <= rank < processes or local < 0:
        raise UsageError(
            f"rank '{rank}' of '{processes}', '{local}' on its machine, is no process. Start several with "
            f"torchrun or accelerate launch, or clear {RANK[0]} and {SIZE[0]}."
        )
    return Launch(rank, processes, local)


def is_lonely(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether accelerate was asked for several processes on a CPU: without MPI it starts one."""
    of_accelerate = environment.get("ACCELERATE_USE_CPU", "").lower() == "true"
    return of_accelerate and "MASTER_ADDR" in environment and _number(environment, SIZE) is None


def _number(environment: Mapping[str, str], names: Sequence[str]) -> int | None:
    """The first of the variables that is set."""
    for name in names:
        text = environment.get(name)
        if text is None:
            continue
        if not text.strip().isdecimal():
            raise UsageError(
                f"{name}='{text}' is not a number. Start several processes with torchrun or accelerate."
            )
        return int(text)
    return None
