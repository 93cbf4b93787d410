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
        """[C, D] float32, unit length, in order."""
        texts = [sentence[: self._longest] for sentence in sentences]
        read = self._tokenizer.encode_batch([text.lower() for text in texts] if self._lower else texts)
        lengths = numpy.array([len(tokens.ids) for tokens in read])
        mask = numpy.arange(lengths.max())[None, :] < lengths[:, None]
        ids = numpy.zeros(mask.shape, numpy.int64)
        ids[mask] = numpy.concatenate([tokens.ids for tokens in read])
        return self._session({"token_ids": ids, "token_mask": mask})
