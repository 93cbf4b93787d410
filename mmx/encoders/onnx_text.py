"""Sentences to vectors by an exported graph and the tokenizer beside it; it needs neither torch nor
transformers.

Shapes: C sentences, L tokens, D width of the shared space.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy
from tokenizers import Tokenizer

from mmx.encoders.onnx_session import OnnxSession


class OnnxText:
    """The text side of a run."""

    def __init__(self, folder: Path, about: Mapping[str, Any], once: bool = False) -> None:
        """Read tokenizer and graph.

        Args:
            folder: where they lie.
            about: what settings.json says of the text side.
            once: see `OnnxSession`.

        Raises:
            MissingExtraError: when onnxruntime is not installed.
            ArtifactError: when the graph cannot be read.
        """
        words = about["tokenizer"]
        self._tokenizer = Tokenizer.from_file(str(folder / words["file"]))
        self._longest, self._lower = words["longest"], words["lowercase"]
        self._session = OnnxSession(folder / about["file"], once=once)

    def encode(self, sentences: Sequence[str]) -> numpy.ndarray:
        """[C, D] float32, unit length, in order; each by itself, since a graph in int8 rounds a sentence by
        what stands beside it in a batch.
        """
        return numpy.concatenate([self._encode(sentence[: self._longest]) for sentence in sentences])

    def _encode(self, sentence: str) -> numpy.ndarray:
        """[1, D]."""
        read = self._tokenizer.encode(sentence.lower() if self._lower else sentence)
        ids = numpy.array([read.ids], numpy.int64)
        return self._session({"token_ids": ids, "token_mask": numpy.ones(ids.shape, bool)})
