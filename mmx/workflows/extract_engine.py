"""Where the shards of an extraction are made: in this process, or by actors of Ray."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from mmx.core.device import find_device
from mmx.core.errors import MissingExtraError, UsageError
from mmx.core.names import unknown
from mmx.core.reporter import Reporter
from mmx.encoders.batch_norm import freeze
from mmx.encoders.load import load_encoder
from mmx.engine.extractor import Make, make_here

ENGINES = ("local", "ray")
INSTALL = 'pip install "mmx[ray]"'


@dataclass(frozen=True)
class Engine:
    """What an extraction needs to know of the place where its encoders run."""

    device: torch.device
    """There."""
    here: torch.device
    """Of this process, whose encoder says what it gives."""
    workers: int
    """Threads that decode pictures, where none are asked for."""
    make: Callable[[Callable[[], nn.Module]], Make]
    """What gives an encoder -> how its shards are made."""


def load_frozen(name: str, modality: str) -> nn.Module:
    """An encoder as it is run over a corpus: any process that has mmx gets the same one.

    Raises:
        MmxError: as for `load_encoder`.
    """
    return freeze(load_encoder(name, modality))


@contextmanager
def started(name: str, address: str | None, device: str, reporter: Reporter) -> Iterator[Engine]:
    """The engine of that name, stopped on leaving.

    Raises:
        UsageError: when there is none, or an address is given that it has no use for.
        MissingExtraError: when it is not installed.
        DeviceError: when the device or the cluster is not there.
    """
    if name not in ENGINES:
        raise unknown("engine", name, ENGINES, "mmx extract --help")
    if name == "local":
        if address is not None:
            raise UsageError("--address is that of a cluster of Ray. Add --engine ray, or leave it out.")
        found = find_device(device)
        yield Engine(found, found, max(1, (os.cpu_count() or 2) - 1), lambda load: make_here)
        return
    try:
        from mmx.engine.ray_cluster import crew, joined
        from mmx.engine.ray_shards import RayShards
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == "mmx":
            raise
        raise MissingExtraError(f"--engine ray needs '{error.name}'. Install it: {INSTALL}") from error
    with joined(address) as nodes:
        one = crew(nodes, device, shards=sys.maxsize)
        reporter.info(
            f"Ray: machines: {len(nodes)}; room for actors: {one.size}, on {one.device}; threads of each: "
            f"{one.threads}."
        )
        make = partial(RayShards, nodes, device)
        yield Engine(torch.device(one.device), torch.device("cpu"), one.cores, make)
