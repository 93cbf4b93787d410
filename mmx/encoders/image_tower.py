"""ImageTower: any pretrained image network behind one face.

Shapes: B images, P patches, F width, D width of the space shared with a text encoder.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmx.core.view import View
from mmx.encoders.blocks import blocks_of
from mmx.encoders.fingerprint import fingerprint

IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

ReadPixels = Callable[[nn.Module, Tensor], dict[str, Tensor]]
"""(network, normalised pixels [B, 3, height, width]) -> the fields of `ImageTower.forward`."""
Project = Callable[[nn.Module, Tensor], Tensor]
"""(network, patch_features [B, P, F]) -> [B, P, D]: each patch by itself into the shared space."""


class ImageTower(nn.Module):
    """A pretrained image network; fulfils `core.encoder.ImageEncoder`."""

    modality = "image"

    def __init__(
        self,
        name: str,
        network: nn.Module,
        read: ReadPixels,
        view: View,
        width: int,
        embedding_width: int | None = None,
        mean: Sequence[float] = IMAGENET_MEAN,
        deviation: Sequence[float] = IMAGENET_DEVIATION,
        project: Project | None = None,
    ) -> None:
        super().__init__()
        self.name, self.view, self.width, self.embedding_width = name, view, width, embedding_width
        self.network = network
        self._read, self._project = read, project
        self.register_buffer("mean", torch.tensor(mean).reshape(3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(deviation).reshape(3, 1, 1), persistent=False)
        kind = f"{type(network).__name__} {read.__name__} {view} {tuple(mean)} {tuple(deviation)}"
        self.fingerprint = fingerprint(kind, network)
        self.eval()

    def forward(self, pixels: Tensor, project: bool = False) -> dict[str, Tensor]:
        """[B, 3, height, width] uint8 -> image_features [B, F], patch_features [B, P, F] (and
        image_embedding [B, D]; with `project` patch_embedding [B, P, D], unit length).
        """
        read = self._read(self.network, (pixels / 255 - self.mean) / self.deviation)
        if not project:
            return read
        if self._project is None:
            raise ValueError(f"'{self.name}' shares no space with a text encoder to project into")
        patches = functional.normalize(self._project(self.network, read["patch_features"]), dim=-1)
        return {**read, "patch_embedding": patches}

    def resize(self, height: int, width: int) -> None:
        """Read whole pictures of another size, squashed to it; learned positions are interpolated."""
        self.view = View(height, width, "squash", self.view.interpolation)

    def train(self, mode: bool = True) -> "ImageTower":
        """Train everything but the running averages of BatchNorm, which small batches would spoil."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        return self

    def blocks(self) -> list[list[str]]:
        """Prefixes of parameter names, one list a block, from input to output."""
        return blocks_of(self)
