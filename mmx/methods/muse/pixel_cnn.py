"""PixelCnn: draws a small picture pixel by pixel, each from the ones before it and from a vector.

Source: arXiv 1701.05517 (PixelCNN++): two streams, one of the rows above and one of the row so far, through
three sizes and back with short cuts; the vector enters every gate, as in arXiv 1606.05328.
Shapes: B pictures, H by H pixels, F filters, D width of the vector.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from mmx.core.present import present
from mmx.methods.muse.mixture import draw, outputs_of
from mmx.methods.muse.settings import MuseSettings

SIZES = 3
CONDITION_DEVIATION = 0.05
ABOVE, SO_FAR = (2, 3), (2, 2)
"""Kernels (height, width) of the two streams: two rows about the pixel, and the quarter before it."""


class ShiftedConvolution(nn.Module):
    """A convolution whose output at a pixel depends on no row below it; unless `centred`, nor on a column to
    its right.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: tuple[int, int], centred: bool, stride: int = 1
    ) -> None:
        super().__init__()
        height, width = kernel
        side = (width - 1) // 2 if centred else width - 1
        self.padding = (side, side if centred else 0, height - 1, 0)
        self.convolution = weight_norm(nn.Conv2d(inputs, outputs, kernel, stride))

    def forward(self, pixels: Tensor) -> Tensor:
        """[B, inputs, H, H] -> [B, outputs, H / stride, H / stride]."""
        return self.convolution(functional.pad(pixels, self.padding))


class GrownConvolution(nn.Module):
    """The transpose of such a convolution with stride 2, so that it depends on nothing further either."""

    def __init__(self, filters: int, kernel: tuple[int, int], centred: bool) -> None:
        super().__init__()
        self.left = (kernel[1] - 1) // 2 if centred else 0
        self.convolution = weight_norm(nn.ConvTranspose2d(filters, filters, kernel, 2, output_padding=1))

    def forward(self, pixels: Tensor) -> Tensor:
        """[B, F, H, H] -> [B, F, 2 H, 2 H]."""
        height, width = 2 * pixels.shape[2], 2 * pixels.shape[3]
        return self.convolution(pixels)[:, :, :height, self.left : self.left + width]


class GatedBlock(nn.Module):
    """x + a sigmoid(b), (a, b) = conv(drop(celu(conv(celu(x)) + short cut))) + W h."""

    def __init__(
        self,
        filters: int,
        kernel: tuple[int, int],
        centred: bool,
        beside: int,
        condition: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.first = ShiftedConvolution(2 * filters, filters, kernel, centred)
        self.shortcut = weight_norm(nn.Conv2d(2 * beside, filters, 1)) if beside else None
        self.dropout = nn.Dropout2d(dropout)
        self.second = ShiftedConvolution(2 * filters, 2 * filters, kernel, centred)
        self.condition = nn.Linear(condition, 2 * filters, bias=False)
        nn.init.normal_(self.condition.weight, std=CONDITION_DEVIATION)

    def forward(self, pixels: Tensor, beside: Tensor | None, vector: Tensor) -> Tensor:
        """[B, F, H, H], [B, beside, H, H] or None, [B, D] -> [B, F, H, H]."""
        inner = self.first(_double_elu(pixels))
        if beside is not None:
            inner = inner + present(self.shortcut)(_double_elu(beside))
        inner = self.second(self.dropout(_double_elu(inner)))
        value, gate = (inner + self.condition(vector)[:, :, None, None]).chunk(2, dim=1)
        return pixels + value * gate.sigmoid()


class Pair(nn.Module):
    """A block of each stream; the second one looks at the first, and both at what stands beside them."""

    def __init__(self, settings: MuseSettings, condition: int, downwards: bool) -> None:
        super().__init__()
        filters, dropout = settings.filters, settings.pixel_dropout
        self.above = GatedBlock(filters, ABOVE, True, filters if downwards else 0, condition, dropout)
        beside = 2 * filters if downwards else filters
        self.so_far = GatedBlock(filters, SO_FAR, False, beside, condition, dropout)

    def forward(
        self, streams: tuple[Tensor, Tensor], beside: tuple[Tensor, Tensor] | None, vector: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Two of [B, F, H, H], those of the way up or None, [B, D] -> two of [B, F, H, H]."""
        above = self.above(streams[0], None if beside is None else beside[0], vector)
        seen = above if beside is None else torch.cat([above, beside[1]], dim=1)
        return above, self.so_far(streams[1], seen, vector)


class PixelCnn(nn.Module):
    """The network; its output at a pixel depends on the pixels before it in reading order, no other."""

    def __init__(self, settings: MuseSettings) -> None:
        super().__init__()
        filters, width, blocks = settings.filters, settings.width, settings.blocks
        self.first_above = ShiftedConvolution(4, filters, (2, 3), centred=True)
        self.first_row = ShiftedConvolution(4, filters, (1, 3), centred=True)
        self.first_left = ShiftedConvolution(4, filters, (2, 1), centred=False)
        self.up = nn.ModuleList(
            nn.ModuleList(Pair(settings, width, downwards=False) for _ in range(blocks)) for _ in range(SIZES)
        )
        self.shrink = nn.ModuleList(
            nn.ModuleList(
                (
                    ShiftedConvolution(filters, filters, ABOVE, centred=True, stride=2),
                    ShiftedConvolution(filters, filters, SO_FAR, centred=False, stride=2),
                )
            )
            for _ in range(SIZES - 1)
        )
        self.down = nn.ModuleList(
            nn.ModuleList(Pair(settings, width, downwards=True) for _ in range(blocks + (size > 0)))
            for size in range(SIZES)
        )
        self.grow = nn.ModuleList(
            nn.ModuleList((GrownConvolution(filters, ABOVE, True), GrownConvolution(filters, SO_FAR, False)))
            for _ in range(SIZES - 1)
        )
        self.outputs = weight_norm(nn.Conv2d(filters, outputs_of(settings.mixtures), 1))

    def forward(self, pixels: Tensor, vector: Tensor) -> Tensor:
        """[B, 3, H, H] in [-1, 1], [B, D] -> [B, 10 M, H, H]: the distribution of each pixel."""
        known = functional.pad(pixels, (0, 0, 0, 0, 0, 1), value=1.0)
        streams = (
            _down(self.first_above(known)),
            _down(self.first_row(known)) + _right(self.first_left(known)),
        )
        passed = [streams]
        for size, pairs in enumerate(self.up):
            if size:
                streams = tuple(
                    layer(stream) for layer, stream in zip(self.shrink[size - 1], streams, strict=True)
                )
                passed.append(streams)
            for pair in pairs:
                streams = pair(streams, None, vector)
                passed.append(streams)
        streams = passed.pop()
        for size, pairs in enumerate(self.down):
            if size:
                streams = tuple(
                    layer(stream) for layer, stream in zip(self.grow[size - 1], streams, strict=True)
                )
            for pair in pairs:
                streams = pair(streams, passed.pop(), vector)
        return self.outputs(functional.elu(streams[1]))

    @torch.no_grad()
    def sample(self, vector: Tensor, side: int, seed: int) -> Tensor:
        """[B, D] -> pictures [B, 3, side, side] in [-1, 1], drawn pixel after pixel."""
        random = torch.Generator().manual_seed(seed)
        pixels = torch.zeros(len(vector), 3, side, side, device=vector.device)
        for row, column in _places(side):
            # rows below cannot matter, so that they need not be computed
            height = min(side, (row // 4 + 1) * 4)
            outputs = self(pixels[:, :, :height], vector)[:, :, row, column]
            pixels[:, :, row, column] = draw(outputs, random)
        return pixels


def _places(side: int) -> Iterator[tuple[int, int]]:
    return ((row, column) for row in range(side) for column in range(side))


def _double_elu(values: Tensor) -> Tensor:
    """[B, F, H, H] -> [B, 2 F, H, H]: the values and their negatives, each through ELU."""
    return functional.elu(torch.cat([values, -values], dim=1))


def _down(pixels: Tensor) -> Tensor:
    """Everything a row further down, zeros above."""
    return functional.pad(pixels[:, :, :-1], (0, 0, 1, 0))


def _right(pixels: Tensor) -> Tensor:
    """Everything a column further right, zeros before."""
    return functional.pad(pixels[:, :, :, :-1], (1, 0))
