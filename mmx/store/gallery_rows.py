"""A gallery as rows of a data base: a header that says what all of it is, and a text a picture.

Texts are plain ASCII, since a name need not be valid UTF-8 and a data base wants nothing else.
"""

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from torch import Tensor

from mmx.core.errors import ArtifactError
from mmx.store.entries import Entry
from mmx.store.gallery import Gallery
from mmx.store.kinds import check_kind
from mmx.store.scope import Scope

FORMAT, VERSION = "mmx-gallery-rows", 1
AGAIN = "Copy the gallery there again."


@dataclass(frozen=True)
class RowsHeader:
    """What is said of the whole gallery; `Gallery` has the meaning of what bears the same name there."""

    source: str
    fingerprint: str
    made_by: Mapping[str, str] | None
    scope: Scope
    kind: str
    """How it is searched there."""
    width: int
    pictures: int
    content: str
    unreadable: tuple[Entry, ...] = ()
    effort: int = 0
    """Neighbours that a graph keeps in sight; 0 where there is no graph."""
    recall: Mapping[str, float] | None = None
    """By kind of query: the share of the ten nearest, by exact search, that is found there."""
    writing: str = ""
    """Who is writing it; empty when it is whole."""

    @classmethod
    def of(cls, gallery: Gallery, kind: str) -> "RowsHeader":
        """The header of a gallery that is to be searched in this way."""
        return cls(
            gallery.source,
            gallery.fingerprint,
            gallery.made_by,
            gallery.scope,
            kind,
            gallery.image_vectors.shape[1],
            len(gallery.entries),
            gallery.content,
            tuple(gallery.unreadable),
        )

    def to_text(self) -> str:
        """As it is kept."""
        plain = {
            **vars(self),
            "scope": dict(self.scope.rules),
            "unreadable": [vars(entry) for entry in self.unreadable],
        }
        return json.dumps({"format": FORMAT, "version": VERSION, **plain})

    @classmethod
    def from_text(cls, text: str, where: str) -> "RowsHeader":
        """Back from `to_text`.

        Raises:
            ArtifactError: when it is broken, or of another version.
        """
        try:
            plain = json.loads(text)
            check_kind(where, plain, FORMAT, VERSION, AGAIN)
            del plain["format"], plain["version"]
            scope, bad = Scope(plain["scope"]), tuple(map(_entry, plain["unreadable"]))
            return cls(**{**plain, "scope": scope, "unreadable": bad})
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ArtifactError(f"the header of '{where}' cannot be read ({error}). {AGAIN}") from error


def key_of(id: str) -> int:
    """What a picture is known by in the data base: 63 bits that hang on its name alone."""
    digest = blake2b(id.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def entry_text(entry: Entry) -> str:
    """All that is known of a picture."""
    return json.dumps(vars(entry))


def entry_of(text: str, where: str) -> Entry:
    """Back from `entry_text`.

    Raises:
        ArtifactError: when it is something else.
    """
    try:
        return _entry(json.loads(text))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ArtifactError(f"an entry of '{where}' cannot be read ({error}). {AGAIN}") from error


def sums(vectors: Tensor) -> Sequence[int]:
    """CRC-32 of each row [N, D] float32, by which one that was damaged or has changed is told."""
    return [zlib.crc32(vector.contiguous().numpy().tobytes()) for vector in vectors]


def _entry(plain: Mapping[str, Any]) -> Entry:
    return Entry(**{**plain, "captions": tuple(plain["captions"])})
