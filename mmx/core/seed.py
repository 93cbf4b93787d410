"""Randomness as a pure function of names and numbers, so that any step can be done again by itself."""

import hashlib


def derive_seed(*parts: int | str) -> int:
    """A 63-bit seed from its parts: equal parts give equal seeds, in any process and on any machine."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1
