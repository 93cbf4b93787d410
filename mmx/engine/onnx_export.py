"""A function of tensors written as an ONNX graph, its weights in a file beside it.

The graph is what torch traces of one call. What a trace cannot tell (a branch on the data, a size that became
a number) is found by comparing with torch at other sizes, which is the caller's part; torch's newer exporter,
which reads the code instead, takes ten times as long and refuses data-dependent sizes.
"""

import contextlib
import io
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from mmx.core.errors import ArtifactError, MissingExtraError

try:
    import onnx
except ImportError:
    onnx = None

INSTALL = "pip install 'mmx[onnx]'"
OPSET = 18
INSIDE = 1024
"""Bytes of a tensor up to which it stays in the graph itself."""


class _Side(nn.Module):
    """Named tensors in, embeddings out; the networks that do it are parts of it, so that they are weights."""

    def __init__(
        self,
        names: Sequence[str],
        function: Callable[[Mapping[str, Tensor]], Tensor],
        networks: Sequence[nn.Module],
    ) -> None:
        super().__init__()
        self._names, self._function = tuple(names), function
        self.networks = nn.ModuleList(networks)

    def forward(self, *values: Tensor) -> Tensor:
        """Tensors in the order of their names -> embeddings."""
        return self._function(dict(zip(self._names, values, strict=True)))


def check_installed() -> None:
    """Find out before any work whether graphs can be written.

    Raises:
        MissingExtraError: when they cannot.
    """
    if onnx is None:
        raise MissingExtraError(f"an export needs onnx, which is not installed. Install it: {INSTALL}")


@torch.no_grad()
def write_graph(
    file: Path,
    function: Callable[[Mapping[str, Tensor]], Tensor],
    networks: Sequence[nn.Module],
    inputs: Mapping[str, Tensor],
    axes: Mapping[str, Mapping[int, str]],
    output: str,
) -> None:
    """Trace a function at some inputs and write it, the weights to `<file>.data`.

    Args:
        file: of the graph.
        function: named tensors -> [B, D].
        networks: whose weights it uses.
        inputs: one example of each, of the sizes that are least like others: no 1 where there may be more.
        axes: by input, the axes that may be of any size, with their names; axis 0 of the output is `batch`.
        output: its name.

    Raises:
        ArtifactError: when a part of it has no counterpart in ONNX.
    """
    side = _Side(list(inputs), function, networks).eval()
    said = io.StringIO()
    # The exporter prints the graph when it fails, and warns of each branch; both are found by comparing.
    with warnings.catch_warnings(), contextlib.redirect_stdout(said):
        warnings.simplefilter("ignore")
        try:
            torch.onnx.export(
                side,
                tuple(inputs.values()),
                str(file),
                dynamo=False,
                opset_version=OPSET,
                input_names=list(inputs),
                output_names=[output],
                dynamic_axes={**{name: dict(free) for name, free in axes.items()}, output: {0: "batch"}},
            )
        except (torch.onnx.OnnxExporterError, RuntimeError) as error:
            reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
            raise ArtifactError(f"'{output}' has no counterpart in ONNX: {reason[:200]}") from error
    _move_weights(file)


def describe(file: Path, facts: Mapping[str, str]) -> None:
    """Write facts into the metadata of a graph."""
    graph = onnx.load(file, load_external_data=False)
    onnx.helper.set_model_props(graph, {f"mmx.{name}": value for name, value in facts.items()})
    file.write_bytes(graph.SerializeToString())


def _move_weights(file: Path) -> None:
    """Out of the graph, so that whoever reads it can map them into memory."""
    graph = onnx.load(file)
    file.unlink()
    onnx.save(
        graph,
        file,
        save_as_external_data=True,
        all_tensors_to_one_file=True,
        location=f"{file.name}.data",
        size_threshold=INSIDE,
    )
    file.with_name(f"{file.name}.data").chmod(0o644)
    onnx.checker.check_model(str(file))
