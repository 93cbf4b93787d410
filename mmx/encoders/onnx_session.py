"""A graph that was exported, run by onnxruntime on the processor; it needs no torch.

Shapes: B pictures or sentences, D width of the shared space.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy

from mmx.core.errors import ArtifactError, MissingExtraError, first_line

try:
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as state
except ImportError:
    onnxruntime = state = None

FAULTS = (
    tuple(kind for kind in vars(state).values() if isinstance(kind, type) and issubclass(kind, Exception))
    if state
    else ()
)
"""What the library raises: errors of its own that have no parent in common."""
INSTALL = "pip install 'mmx[onnx]'"


def installed() -> bool:
    """Whether graphs can be run at all."""
    return onnxruntime is not None


class OnnxSession:
    """One side of a run: named arrays in, embeddings out."""

    def __init__(self, file: Path, threads: int = 0, once: bool = False) -> None:
        """Read the graph.

        Args:
            file: `image.onnx` or `text.onnx`; its weights are mapped into memory from the file beside it.
            threads: how many to run on; 0 for one a core.
            once: for a few sentences and then no more: weights are read where they lie instead of being put
                in the order that is fastest for many, on one thread, since others take longer to start.

        Raises:
            MissingExtraError: when onnxruntime is not installed.
            ArtifactError: when the graph cannot be read.
        """
        if onnxruntime is None:
            raise MissingExtraError(f"'{file.name}' is run by onnxruntime. Install it: {INSTALL}")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = 1 if once else threads
        if once:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
            options.add_session_config_entry("session.disable_prepacking", "1")
        try:
            self._session = onnxruntime.InferenceSession(
                str(file), options, providers=["CPUExecutionProvider"]
            )
        except FAULTS as error:
            raise ArtifactError(
                f"'{file}' cannot be read by onnxruntime ({first_line(error)}). Export again."
            ) from error
        self.reads = tuple(wanted.name for wanted in self._session.get_inputs())

    def __call__(self, inputs: Mapping[str, numpy.ndarray]) -> numpy.ndarray:
        """Arrays by name -> embeddings [B, D] float32, unit length."""
        return self._session.run(None, {name: inputs[name] for name in self.reads})[0]
