"""Several processes that run a function together, as a launcher would start them, each on a loopback address
of its own as if on another machine.
"""

import multiprocessing
import os
import socket
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from typing import Any

import torch

LONGEST = 60.0
# a server that has everything loaded, from which a process is made in a few milliseconds; a first step of an
# optimizer would load what is named last into each process anew
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.engine.jobs", "torch._dynamo"])


class Crew:
    """The processes of one job."""

    def __init__(self, job: Callable[..., Any], *given: Any, count: int = 2) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        pipes = [CONTEXT.Pipe(duplex=False) for _ in range(count)]
        self.results = [receive for receive, _ in pipes]
        self.processes = [
            CONTEXT.Process(target=_run, args=(job, given, rank, count, port, pipes[rank][1]), daemon=True)
            for rank in range(count)
        ]
        for process, (_, send) in zip(self.processes, pipes, strict=True):
            process.start()
            send.close()

    def said(self, rank: int) -> Any:
        """What a process returned, or the error that ended it; None when it died."""
        if not wait([self.results[rank]], LONGEST):
            raise TimeoutError(f"process {rank} said nothing for {LONGEST} s")
        try:
            said = self.results[rank].recv()
        except EOFError:
            return None
        if not isinstance(said, dict):
            return said
        return {name: torch.from_numpy(value) for name, value in said.items()}

    def all_said(self) -> list[Any]:
        """The same of all, when they have ended."""
        try:
            return [self.said(rank) for rank in range(len(self.processes))]
        finally:
            self.end()

    def end(self) -> None:
        """Leave no process behind."""
        for process in self.processes:
            process.kill()
            process.join()


def together(job: Callable[..., Any], *given: Any, count: int = 2) -> list[Any]:
    """What each process returned, or the error that ended it."""
    return Crew(job, *given, count=count).all_said()


def _run(job: Callable[..., Any], given: tuple, rank: int, count: int, port: int, send: Connection) -> None:
    torch.set_num_threads(1)
    os.environ.update(
        RANK=str(rank),
        LOCAL_RANK="0",
        WORLD_SIZE=str(count),
        MASTER_ADDR=f"127.0.0.{1 + rank}",
        MASTER_PORT=str(port),
    )
    try:
        # as arrays: a tensor would be shared with a process that has ended
        said: Any = {name: value.numpy() for name, value in job(*given).items()}
    except Exception as error:
        said = error
    send.send(said)
    send.close()
