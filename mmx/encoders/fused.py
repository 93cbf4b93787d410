"""Convolutions of frozen networks, each with the activation behind it in one pass over memory.

On a processor torch works through oneDNN, which can keep weights in an order of its own and apply an
activation to each number as it is written; torch reaches both by the operators that its compiler uses. With
float32 on a processor that is what runs; anywhere else (a card, a gradient, an exported graph) the same
function runs in torch's ordinary operators.

Padding as TensorFlow's SAME, one row and column more behind than before where sizes are even, is not what
oneDNN knows, and to copy the maps into larger ones costs as much as the convolution. A kernel with a zero row
and column in front, and as much padding before as behind, is the same function.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

ACTIVATIONS: dict[type[nn.Module], tuple[str, list[float]]] = {
    nn.Identity: ("none", []),
    nn.ReLU: ("relu", []),
    nn.ReLU6: ("hardtanh", [0.0, 6.0]),
}
"""What oneDNN applies, by its name and numbers."""
SAME = "Conv2dSame"
"""timm's class of convolutions padded as TensorFlow does, by name: others need not load timm."""
Margins = tuple[tuple[int, int], tuple[int, int]]
"""Rows and columns of zeros (before, behind): of the height, of the width."""


def fuse(module: nn.Module) -> None:
    """Replace every convolution by one that runs in a pass with the activation registered right behind it: in
    every network we load it also runs there.

    Changes the module in place; weights keep their names.
    """
    children = list(module.named_children())
    for place, (name, child) in enumerate(children):
        if not _is_known(child):
            fuse(child)
            continue
        behind, activation = children[place + 1] if place + 1 < len(children) else ("", nn.Identity())
        joined = type(activation) in ACTIVATIONS and bool(behind)
        setattr(module, name, FusedConvolution(child, activation if joined else nn.Identity()))
        if joined:
            setattr(module, behind, nn.Identity())


class FusedConvolution(nn.Conv2d):
    """A convolution whose weights no longer change, and an activation."""

    def __init__(self, plain: nn.Conv2d, activation: nn.Module) -> None:
        """Take over a convolution's weights."""
        sizes = (plain.in_channels, plain.out_channels, plain.kernel_size, plain.stride)
        super().__init__(*sizes, plain.padding, plain.dilation, plain.groups, bias=False, device="meta")
        self.weight, self.bias = plain.weight, plain.bias
        self.activation = activation
        self._same = type(plain).__name__ == SAME
        self._ordered: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}
        """The weights and the same in oneDNN's order, by the zero rows and columns in front of the kernel."""

    def forward(self, maps: Tensor) -> Tensor:
        """[B, C, height, width] -> the maps of the next layer."""
        (top, bottom), (left, right) = self._margins(maps.shape[2:])
        if self._is_fast(maps):
            weight, padding = self._in_order((bottom - top, right - left)), (bottom, right)
            fitted = (self.bias, padding, self.stride, self.dilation, self.groups)
            return torch.ops.mkldnn._convolution_pointwise(maps, weight, *fitted, *self._name(), "")
        if (top, left) != (bottom, right):
            maps, top, left = functional.pad(maps, (left, right, top, bottom)), 0, 0
        about = (self.stride, (top, left), self.dilation, self.groups)
        return self.activation(functional.conv2d(maps, self.weight, self.bias, *about))

    def _margins(self, size: Sequence[int]) -> Margins:
        if not self._same:
            return (self.padding[0],) * 2, (self.padding[1],) * 2
        found = []
        for length, kernel, stride in zip(size, self.kernel_size, self.stride, strict=True):
            whole = max(0, (-(-length // stride) - 1) * stride + kernel - length)
            found.append((whole // 2, whole - whole // 2))
        return found[0], found[1]

    def _is_fast(self, maps: Tensor) -> bool:
        plain = torch.is_grad_enabled() and (maps.requires_grad or self.weight.requires_grad)
        floats = maps.dtype == self.weight.dtype == torch.float32
        here = maps.device.type == self.weight.device.type == "cpu"
        return floats and here and not plain and not torch.jit.is_tracing() and _is_there()

    def _in_order(self, front: tuple[int, int]) -> Tensor:
        of, ordered = self._ordered.get(front, (None, None))
        # others stand in for a call where weights are blended (torch.func.functional_call)
        if ordered is None or of is not self.weight:
            weight = functional.pad(self.weight.detach(), (front[1], 0, front[0], 0))
            # of no size of maps in particular: the order, and so the last bits, depend on the weights alone
            ordered = torch.ops.mkldnn._reorder_convolution_weight(
                weight, self.padding, self.stride, self.dilation, self.groups, None
            )
            if isinstance(self.weight, nn.Parameter):
                self._ordered[front] = self.weight, ordered
        return ordered

    def _name(self) -> tuple[str, list[float]]:
        return ACTIVATIONS[type(self.activation)]


def _is_known(module: nn.Module) -> bool:
    """A convolution padded with zeros by numbers, as in every network we load."""
    if type(module) is nn.Conv2d:
        return module.padding_mode == "zeros" and not isinstance(module.padding, str)
    return type(module).__name__ == SAME and isinstance(module, nn.Conv2d) and module.dilation == (1, 1)


def _is_there() -> bool:
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
