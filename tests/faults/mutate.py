"""Random damage to a file: bits, blocks, lengths, headers, values of JSON, and files in another's place."""

import json
import pickle
import random
import struct
from collections.abc import Callable, Sequence
from typing import Any

from mmx.store.sealed import LAST, SEAL

Mutation = Callable[[bytes, random.Random], bytes]
PICKLE = pickle.dumps({"weights": [1.0, 2.0]})
STRANGERS = (b"", b"{}", b"[]", b"null", b"<!doctype html><html></html>", PICKLE, b"PK\x03\x04" + bytes(60))


def flipped(data: bytes, chance: random.Random) -> bytes:
    """One bit turned over."""
    place = chance.randrange(len(data))
    return data[:place] + bytes([data[place] ^ 1 << chance.randrange(8)]) + data[place + 1 :]


def cut(data: bytes, chance: random.Random) -> bytes:
    """The end lost."""
    return data[: chance.randrange(len(data))]


def grown(data: bytes, chance: random.Random) -> bytes:
    """Bytes put in somewhere, or at the end."""
    place = chance.choice((len(data), chance.randrange(len(data))))
    return data[:place] + chance.randbytes(chance.randint(1, 64)) + data[place:]


def spliced(data: bytes, chance: random.Random) -> bytes:
    """A block written over by another block of the file, or by zeros, as a disk or a copy may do."""
    size = min(len(data), chance.choice((1, 8, 64, 512, 4096)))
    source, target = chance.randrange(len(data) - size + 1), chance.randrange(len(data) - size + 1)
    block = bytes(size) if chance.random() < 0.3 else data[source : source + size]
    return data[:target] + block + data[target + size :]


def replaced(data: bytes, chance: random.Random) -> bytes:
    """Something else altogether, a pickle among it."""
    return chance.choice(STRANGERS)


def edited_header(data: bytes, chance: random.Random) -> bytes:
    """Another value in the header of a safetensors file, whose length is set right again."""
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    text = json.dumps(_edited(header, chance)).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data[8 + length :]


def edited_json(data: bytes, chance: random.Random) -> bytes:
    """Another value somewhere in a JSON document."""
    return json.dumps(_edited(json.loads(data), chance)).encode()


def mutations_for(name: str) -> Sequence[Mutation]:
    """What may happen to a file of this name."""
    general = (flipped, flipped, cut, grown, spliced, spliced, replaced)
    special = {"safetensors": (edited_header,) * 3, "json": (edited_json,) * 4}
    return (*general, *special.get(name.rsplit(".", 1)[-1], ()))


def _edited(value: Any, chance: random.Random) -> Any:
    """The same document with one leaf, name or element changed, but for the seal, which may be taken out."""
    if isinstance(value, dict) and value.keys() - {SEAL, LAST}:
        name = chance.choice([name for name in value if name not in {SEAL, LAST}])
        roll = chance.random()
        if roll < 0.1:
            return {other: inner for other, inner in value.items() if other != name}
        if roll < 0.2:
            return {other + "x" if other == name else other: inner for other, inner in value.items()}
        return {**value, name: _edited(value[name], chance)}
    if isinstance(value, list) and value:
        place = chance.randrange(len(value))
        roll = chance.random()
        if roll < 0.1:
            return value[:place] + value[place + 1 :]
        if roll < 0.2:
            return [*value, value[place]]
        return [*value[:place], _edited(value[place], chance), *value[place + 1 :]]
    return _other(value, chance)


def _other(value: Any, chance: random.Random) -> Any:
    choices: list[Any] = [None, -1, 1e308, float("nan"), "", "../../etc/passwd", [], {}, True, 2**70, "F64"]
    if isinstance(value, int | float):
        choices += [value + 1, value - 1, value * 2, -value] * 3
    if isinstance(value, str):
        choices += [value + "x", value[:-1], value.upper()] * 3
    return chance.choice([choice for choice in choices if choice != value])
