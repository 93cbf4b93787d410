"""A graph that was exported, its matrix products and tables of words rewritten to integers of 8 bits."""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmx.core.errors import ArtifactError, first_line

try:
    from onnxruntime.quantization import quantize_dynamic
    from onnxruntime.quantization.quant_utils import load_model_with_shape_infer
except ImportError:
    quantize_dynamic = load_model_with_shape_infer = None

REWRITTEN = ["MatMul", "Gemm", "Gather"]
"""Products with weights, and rows of tables. A convolution takes several times as long in int8."""


def quantize(file: Path) -> None:
    """Rewrite a graph and its weights where they lie.

    Weights are rounded a channel at a time, and what they are multiplied with when it is there. They take 7
    of the 8 bits: with all 8, sums overflow on processors without VNNI, and recall would be another there.

    Raises:
        ArtifactError: when a part of it cannot be rewritten.
    """
    with tempfile.TemporaryDirectory(dir=file.parent) as folder, _quiet():
        smaller = Path(folder) / file.name
        try:
            graph = load_model_with_shape_infer(file)
            _unshare(graph)
            quantize_dynamic(
                graph,
                smaller,
                op_types_to_quantize=REWRITTEN,
                per_channel=True,
                reduce_range=True,
                use_external_data_format=True,
            )
        except (RuntimeError, ValueError) as error:
            raise ArtifactError(
                f"'{file.name}' cannot be rewritten to int8 ({first_line(error)}). Leave out --int8."
            ) from error
        for written in Path(folder).iterdir():
            written.chmod(0o644)
            written.replace(file.with_name(written.name))


def _unshare(model: Any) -> None:
    """Give each product a weight of its own: the library turns it round for each that it stands in, so that
    one that reads a picture and its mirror would be turned twice.
    """
    weights = {weight.name: weight for weight in model.graph.initializer}
    seen: set[str] = set()
    for node in model.graph.node:
        if node.op_type == "Gemm" and node.input[1] in weights:
            name = node.input[1]
            if name in seen:
                twin = model.graph.initializer.add()
                twin.CopyFrom(weights[name])
                twin.name = node.input[1] = f"{name} of {node.name}"
            seen.add(name)


@contextmanager
def _quiet() -> Iterator[None]:
    """It tells the root of all loggers of each table that holds no weights."""
    nowhere, root = logging.NullHandler(), logging.getLogger()
    root.addHandler(nowhere)
    try:
        yield
    finally:
        root.removeHandler(nowhere)
