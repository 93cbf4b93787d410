"""A data base of Milvus: embedded in a file, or a cluster at a web address, asked by the same code.

Who may ask is said by the environment alone (`MMX_MILVUS_TOKEN`: `user:password`, or a key), as is how long
an answer may take (`MMX_MILVUS_TIMEOUT`, seconds).
"""

import fcntl
import logging
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc
from pymilvus import MilvusClient, MilvusException

try:
    from milvus_lite.server_manager import server_manager_instance as embedded
except ModuleNotFoundError:
    embedded = None

from mmx.core.errors import ArtifactError, MissingExtraError, ResourceError, UsageError
from mmx.core.paths import expanded
from mmx.store.atomic import disk_errors

TOKEN, TIMEOUT = "MMX_MILVUS_TOKEN", "MMX_MILVUS_TIMEOUT"
SECONDS = 30.0
BUILDING_SECONDS = 3600.0
"""For what grows with the number of pictures: writing through to the disk, building and loading an index."""
COLLECTION = "mmx"
FILE = ".db"
NAME = re.compile(r"[A-Za-z_]\w{0,199}", re.ASCII)
AWAY = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}
FORBIDDEN = {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}
CONNECT_FAILED = 2
UNASKED = {"grpc.keepalive_time_ms": 2**31 - 1}
"""An embedded data base lives as long as its process: it is not asked whether it does, which it resents."""
AT_ONCE = 1000
"""Rows that are asked for together."""

_OPEN: Counter[str] = Counter()
"""What this process has open, and how often: a file it may open again, and no other process may."""

# What goes wrong is said once, by our own error; the libraries would print it with their tracebacks.
for _library in ("pymilvus", "milvus_lite"):
    logging.getLogger(_library).setLevel(logging.CRITICAL)


@dataclass(frozen=True)
class Address:
    """Where an index is kept: `PATH.db`, or `http(s)://HOST:PORT[/DATABASE][#COLLECTION]`."""

    uri: str
    collection: str = COLLECTION

    @classmethod
    def parse(cls, said: str) -> "Address":
        """What somebody typed.

        Raises:
            UsageError: when it is no address, or holds a password.
        """
        if said.endswith(FILE) and "://" not in said:
            return cls(str(expanded(said).absolute()))
        uri, _, collection = said.partition("#")
        try:
            parts = urlsplit(uri)
            is_web = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            is_web = False
        if "@" in uri:
            raise UsageError(
                "an address holds no name and no password: others would see them. Put them into the "
                f"environment: {TOKEN}=user:password"
            )
        if not is_web:
            raise UsageError(
                f"'{said}' is no address of an index. Write PATH.db, or http://HOST:19530, or "
                "https://HOST/DATABASE#COLLECTION"
            )
        if collection and not NAME.fullmatch(collection):
            raise UsageError(f"'{collection}' is no name of a collection: letters, digits and _ alone.")
        return cls(uri, collection or COLLECTION)

    @property
    def file(self) -> Path | None:
        """The file of an embedded data base."""
        return None if "://" in self.uri else Path(self.uri)

    def __str__(self) -> str:
        return self.uri if self.collection == COLLECTION else f"{self.uri}#{self.collection}"


class Connection:
    """An open data base. What it complains of becomes an error of ours, and nothing waits for ever."""

    def __init__(self, address: Address, make: bool = False) -> None:
        """Open it; a file that is not there is made where that is asked.

        Raises:
            ArtifactError: when there is no such file, another process has it, or the server is away.
            MissingExtraError: when files of Milvus cannot be read.
        """
        self.address, self.seconds = address, _patience()
        if address.file is not None:
            _check_file(address.file, make)
        # A name or password is never an argument or part of an address, so it is in no list and no error.
        with self._said_plainly():
            self._client = MilvusClient(
                address.uri,
                token=os.environ.get(TOKEN, ""),
                timeout=self.seconds,
                dedicated=True,
                grpc_options={} if address.file is None else UNASKED,
            )
        _OPEN[address.uri] += 1

    def close(self) -> None:
        """Let go of it; a file can then be opened by others."""
        self._client.close()
        _OPEN[self.address.uri] -= 1
        if self.address.file is not None and not _OPEN[self.address.uri]:
            embedded.release_server(self.address.uri)

    def ask(self, what: str, *about: Any, seconds: float | None = None, **words: Any) -> Any:
        """The answer of a method of the client.

        Raises:
            ArtifactError: when it cannot be had.
        """
        with self._said_plainly():
            return getattr(self._client, what)(*about, timeout=seconds or self.seconds, **words)

    def rows(self, collection: str, fields: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        """Every row of a collection, in no order.

        Raises:
            ArtifactError: when they cannot be had.
        """
        words: dict[str, Any] = {
            "output_fields": list(fields),
            "batch_size": AT_ONCE,
            "consistency_level": "Strong",
        }
        found = self.ask("query_iterator", collection, **words)
        while True:
            with self._said_plainly():
                part = found.next()
            if not part:
                break
            yield from part
        found.close()

    def rows_at(
        self, collection: str, keys: Sequence[int], fields: Sequence[str]
    ) -> dict[int, Mapping[str, Any]]:
        """The rows of some keys, as far as there are any."""
        found: dict[int, Mapping[str, Any]] = {}
        for start in range(0, len(keys), AT_ONCE):
            some = list(keys[start : start + AT_ONCE])
            words: dict[str, Any] = {
                "ids": some,
                "output_fields": ["key", *fields],
                "consistency_level": "Strong",
            }
            found |= {row["key"]: row for row in self.ask("get", collection, **words)}
        return found

    def count(self, collection: str, filter: str = "") -> int:
        """Rows for which the filter holds."""
        words: dict[str, Any] = {
            "filter": filter,
            "output_fields": ["count(*)"],
            "consistency_level": "Strong",
        }
        return int(self.ask("query", collection, **words)[0]["count(*)"])

    @contextmanager
    def _said_plainly(self) -> Iterator[None]:
        try:
            yield
        except (MilvusException, grpc.RpcError) as error:
            raise ArtifactError(self._reason(error)) from error

    def _reason(self, error: MilvusException | grpc.RpcError) -> str:
        codes = {_code(error), _code(error.__cause__)}
        if codes & FORBIDDEN:
            return f"'{self.address}' does not let mmx in. Put the right name into the environment: {TOKEN}"
        message = getattr(error, "message", None) or getattr(error, "details", str)() or str(error)
        if codes & (AWAY | {CONNECT_FAILED}) or "Retry" in message:
            where = "file" if self.address.file is not None else "server"
            return (
                f"the {where} at '{self.address}' gives no answer (waited for {self.seconds:g} s at most; "
                f"{TIMEOUT} changes that). Look whether it runs, and at its address."
            )
        token = os.environ.get(TOKEN)
        reason = message.strip().splitlines()[0] if message.strip() else type(error).__name__
        return f"Milvus at '{self.address}' refuses: {reason.replace(token, '...') if token else reason}"


def _code(error: BaseException | None) -> Any:
    if isinstance(error, grpc.RpcError):
        return error.code()
    return getattr(error, "code", None)


def _patience() -> float:
    said = os.environ.get(TIMEOUT, "")
    try:
        seconds = float(said) if said else SECONDS
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < BUILDING_SECONDS:
        raise UsageError(f"{TIMEOUT}='{said}' is no number of seconds. Write for example: {TIMEOUT}=30")
    return seconds


def _check_file(path: Path, make: bool) -> None:
    if embedded is None:
        raise MissingExtraError(f"'{path}' needs 'milvus_lite'. Install it: pip install 'mmx[milvus]'")
    # A folder that is empty is left by one that was killed while it made it.
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        if not make:
            raise ArtifactError(f"there is no index '{path}'. Make one: mmx index copy SRC {path.name}")
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            return
    lock = path / "LOCK"
    if not lock.is_file():
        raise ArtifactError(f"'{path}' is no file of Milvus, or one of a version before 3. Name another.")
    if _OPEN[str(path)]:
        return
    try:
        with lock.open("r+") as held:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise ArtifactError(
            f"'{path}' is in use by another process, and one alone can have it open. Wait for it, or let a "
            f"server have it: milvus-lite server --data-dir {path}"
        ) from error
    except PermissionError as error:
        raise ResourceError(f"'{path}' cannot be written: {error.strerror}. Mend its rights.") from error
