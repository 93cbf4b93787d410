"""Few-shot features as others publish them, photos in a folder a class, and vectors of class names."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize

from tests.heads.episodes import random_unit

NAMES = ("cat", "dog", "great pyrenees", "bird")
WIDTH = 16
COLOURS = {"red": (220, 40, 40), "green": (40, 200, 60), "blue": (40, 60, 220)}


def vectors_of(labels: Tensor, seed: int, noise: float = 0.2) -> Tensor:
    """[N] int64 -> [N, WIDTH] of unit length, around a direction for each class."""
    centres = random_unit(len(NAMES), WIDTH, 0)
    random = torch.Generator().manual_seed(seed)
    return normalize(centres[labels] + noise * torch.randn(len(labels), WIDTH, generator=random), dim=1)


def write_published(folder: Path, shots: Sequence[int] = (1, 4), names: Sequence[str] = NAMES) -> Path:
    """`train_<n>shot_features.npy` and the like: 4 validation and 20 test vectors a class."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (part, count) in enumerate([*((f"train_{n}shot", n) for n in shots), ("val", 4), ("test", 20)]):
        labels = torch.arange(len(NAMES)).repeat_interleave(count)
        numpy.save(folder / f"{part}_features.npy", vectors_of(labels, seed).numpy())
        numpy.save(folder / f"{part}_labels.npy", labels.numpy())
    (folder / "class_names.json").write_text(json.dumps(list(names)))
    return folder


def write_class_texts(folder: Path, names: Sequence[str] = NAMES) -> tuple[Path, Path]:
    """Vectors of class names near the pictures of the classes, and the names of their rows."""
    folder.mkdir(parents=True, exist_ok=True)
    labels = torch.tensor([NAMES.index(name) for name in names])
    numpy.save(folder / "texts.npy", 3 * vectors_of(labels, 9, noise=0.1).numpy())
    (folder / "texts.txt").write_text("\n".join(name.title().replace(" ", "_") for name in names) + "\n")
    return folder / "texts.npy", folder / "texts.txt"


def write_photos(folder: Path, counts: dict[str, int]) -> Path:
    """`<split>/<colour>/<n>.png`, so many for each split: plain pictures whose class is their colour."""
    for turn, (split, count) in enumerate(counts.items()):
        for name, colour in COLOURS.items():
            place = folder / split / name
            place.mkdir(parents=True)
            for number in range(count):
                shade = tuple(part + 10 * turn + 2 * number for part in colour)
                Image.new("RGB", (32, 32), shade).save(place / f"{number}.png")
    return folder
