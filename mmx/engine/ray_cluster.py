"""A cluster of Ray to work on: one that is there, at an address, or one of this machine alone, which ends
with us.

Nothing of Ray is shown and nothing is reported to its makers.
"""

import logging
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from mmx.core.errors import DeviceError, UsageError, first_line
from mmx.core.network import PATIENCE, answers

# Ray reads these when it is imported; what it says of lost actors and machines goes to standard output else.
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".*")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
# Actors of our own cluster do all the work there is: Ray would give way to everybody else.
os.environ.setdefault("RAY_worker_niceness", "0")

import ray
import ray.data

OBJECT_STORE = 200_000_000
"""Bytes of shared memory of our own cluster; through it go numbers of shards, never pictures or vectors."""
EMPTY_SETTINGS, KIND = b"\0\0\0\4\0\0\0\0\0", 3
"""The first frame of HTTP/2 on either side, and which byte says what kind of frame it is."""
HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + EMPTY_SETTINGS
START = "Start one: ray start --head; or leave --address out to work on this machine."


@dataclass(frozen=True)
class Node:
    """What a machine of the cluster has to give."""

    cores: int
    cards: int


@dataclass(frozen=True)
class Crew:
    """The actors of an extraction: how many, on which device, and what each of them takes."""

    size: int
    device: str
    cores: int
    cards: int
    threads: int
    """Threads of torch."""


@contextmanager
def joined(address: str | None) -> Iterator[list[Node]]:
    """Be a part of the cluster at an address, of the one that this process has joined already, or of a new
    one.

    Args:
        address: `host:port`, or `auto` for the one that runs on this machine; None for one of our own.

    Raises:
        UsageError: when the address is none, or not of the cluster that was joined before.
        DeviceError: when no cluster answers there, or one of another version.
    """
    if ray.is_initialized():
        _check_same(address)
        yield _nodes()
        return
    if address is not None:
        _check_address(address)
    place = None if address else tempfile.mkdtemp(prefix="mmx-ray-")
    own = {"object_store_memory": OBJECT_STORE, "include_dashboard": False, "_temp_dir": place}
    try:
        _join(address or "local", {} if address else own)
        yield _nodes()
    finally:
        ray.shutdown()
        if place:
            shutil.rmtree(place, ignore_errors=True)


def crew(nodes: list[Node], device: str, shards: int) -> Crew:
    """As many actors as fit, each with a card or with the cores for as many threads as this process has.

    Args:
        nodes: of the cluster.
        device: `auto`, `cuda` or `cpu`.
        shards: to be made; there are no more actors than these.

    Raises:
        UsageError: for another device, or when no machine has enough cores for one actor.
        DeviceError: when there is no card.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise UsageError(f"Ray gives out no '{device}'. With --engine ray, --device is auto, cpu or cuda.")
    threads, cards = torch.get_num_threads(), sum(node.cards for node in nodes)
    if device == "cuda" and not cards:
        raise DeviceError(
            "'cuda' was asked for but the machines of Ray have no card. Use --device cpu or auto."
        )
    if cards and device != "cpu":
        cores = max(1, min(node.cores // node.cards for node in nodes if node.cards))
        return Crew(min(cards, shards), "cuda", cores, 1, threads)
    places = sum(node.cores // threads for node in nodes)
    if not places:
        most = max(node.cores for node in nodes)
        raise UsageError(
            f"an actor works with {threads} threads, as this process would, and no machine of Ray has more "
            f"than {most} cores. Set OMP_NUM_THREADS={most}."
        )
    return Crew(min(places, shards), "cpu", threads, 0, threads)


def _nodes() -> list[Node]:
    given = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return [Node(int(held.get("CPU", 0)), int(held.get("GPU", 0))) for held in given]


def _check_address(address: str) -> None:
    if address == "auto":
        return
    host, colon, port = address.rpartition(":")
    if not (colon and host and port.isdecimal()) or "/" in host:
        raise UsageError(f"'{address}' is no address of Ray. Write host:port, as ray start says it, or auto.")
    if not answers(host, int(port)):
        raise DeviceError(f"nothing answers at '{address}' within {PATIENCE:.0f} seconds. {START}")
    if not _speaks_grpc(host, int(port)):
        raise DeviceError(f"what answers at '{address}' is no cluster of Ray. {START}")


def _speaks_grpc(host: str, port: int) -> bool:
    """Whether a server begins as those of gRPC do; Ray itself waits for ever for one that does not."""
    try:
        with socket.create_connection((host, port), timeout=PATIENCE) as line:
            line.sendall(HELLO)
            return line.recv(len(EMPTY_SETTINGS))[KIND] == EMPTY_SETTINGS[KIND]
    except (OSError, IndexError):
        return False


def _check_same(address: str | None) -> None:
    joined_before = ray.get_runtime_context().gcs_address
    if address not in (None, "auto", joined_before):
        raise UsageError(
            f"this process is a part of Ray at '{joined_before}' already, not at '{address}'. Leave "
            "--address out."
        )


def _join(address: str, own: dict) -> None:
    try:
        with _hushed():
            ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL, **own)
    except Exception as error:  # a busy machine, for one, on which its processes do not begin in time
        reason = first_line(error)
        what = f"joined at '{address}': {reason} {START}" if not own else f"begun on this machine: {reason}"
        raise DeviceError(f"Ray cannot be {what}") from error
    for handler in logging.getLogger("ray.data").handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setLevel(logging.CRITICAL)


@contextmanager
def _hushed() -> Iterator[None]:
    """Drop what the libraries of Ray write to standard error by themselves; what is wrong they raise."""
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nothing:
            os.dup2(nothing.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
