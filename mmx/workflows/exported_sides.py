"""The two sides of a run as graphs, and how far what they give is from what torch gives.

Shapes: B pictures or sentences, L tokens, D width of the shared space.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mmx.core.errors import ArtifactError
from mmx.core.present import present
from mmx.encoders.onnx_int8 import quantize
from mmx.encoders.onnx_session import OnnxSession
from mmx.engine.onnx_export import write_graph
from mmx.engine.split_data import NumberTexts

TOLERANCE = 1e-4
"""The most that a number of an embedding may differ."""
BATCHES = (1, 2, 5, 16)


@dataclass(frozen=True)
class Side:
    """One modality of a run: what encodes it, and examples to trace and to compare with."""

    name: str
    """`image` or `text`."""
    encode: Callable[[Mapping[str, Tensor]], Tensor]
    """Named tensors -> [B, D] unit length."""
    networks: Sequence[nn.Module]
    examples: Sequence[Mapping[str, Tensor]]
    """Batches of several sizes; the graph is traced at the largest."""
    axes: Mapping[str, Mapping[int, str]]
    """The axes of any size."""

    @property
    def file(self) -> str:
        """Of the graph."""
        return f"{self.name}.onnx"

    @property
    def output(self) -> str:
        """What the graph gives."""
        return f"{self.name}_embedding"


@dataclass(frozen=True)
class Agreement:
    """How near a graph is to torch, over all examples."""

    deviation: float
    """The greatest difference of two numbers."""
    cosine: float
    """The least cosine of two embeddings."""
    batches: tuple[str, ...]
    """The sizes that were compared, such as `5 x 17`."""

    def document(self) -> dict[str, Any]:
        """Its fields."""
        return {**vars(self), "batches": list(self.batches)}


@torch.no_grad()
def write_side(side: Side, folder: Path, int8: bool = False) -> Agreement:
    """Write the graph of a side, compare it with torch at every example and, with `int8`, compare once more
    what it becomes then.

    Raises:
        MissingExtraError: when onnx or onnxruntime is not installed.
        ArtifactError: when it cannot be written, or differs by more than 1e-4 before it is rounded.
    """
    file = folder / side.file
    largest = max(side.examples, key=lambda example: sum(value.numel() for value in example.values()))
    write_graph(file, side.encode, side.networks, largest, side.axes, side.output)
    agreement = _compare(side, file)
    if not agreement.deviation <= TOLERANCE:
        raise ArtifactError(
            f"'{side.file}' differs from torch by {agreement.deviation:.1e}, and {TOLERANCE:g} is the most. "
            "Nothing was kept."
        )
    if not int8:
        return agreement
    quantize(file)
    return _compare(side, file)


def _compare(side: Side, file: Path) -> Agreement:
    session = OnnxSession(file)
    deviation, cosine, batches = 0.0, 1.0, []
    for example in side.examples:
        wanted = side.encode(example)
        given = torch.from_numpy(session({name: value.numpy() for name, value in example.items()}))
        if given.shape != wanted.shape:
            shapes = list(given.shape), list(wanted.shape)
            raise ArtifactError(
                f"'{side.file}' gives {shapes[0]} where torch gives {shapes[1]}. Nothing was kept."
            )
        if not bool(given.isfinite().all()):
            raise ArtifactError(f"'{side.file}' gives what is no number, unlike torch. Nothing was kept.")
        deviation = max(deviation, float((given - wanted).abs().max()))
        cosine = min(cosine, float(torch.nn.functional.cosine_similarity(given, wanted).min()))
        first = next(iter(example.values()))
        batches.append(" x ".join(map(str, first.shape[:2] if side.name == "text" else first.shape[:1])))
    return Agreement(deviation, cosine, tuple(batches))


def text_examples(texts: NumberTexts, count: int) -> list[dict[str, Tensor]]:
    """Batches of several sizes and lengths out of numbered sentences: the shortest, the longest, mixed."""
    order = present(texts.lengths).argsort(stable=True)
    spread = order[torch.linspace(0, count - 1, min(count, max(BATCHES))).long()]
    few = spread[:: max(1, len(spread) // BATCHES[2])]
    picked = [order[:1], order[-1:], order[: BATCHES[1]], few, spread]
    return [texts.read(places) for places in picked]


def picture_examples(pixels: Tensor) -> list[dict[str, Tensor]]:
    """Batches of several sizes out of pictures [N, 3, height, width]."""
    return [{"pixels": pixels[:size]} for size in BATCHES if size <= len(pixels)]
