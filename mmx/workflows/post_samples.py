"""A few posts with what a model makes up of them, as one picture to look at."""

from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image
from torch import nn

from mmx.core.errors import UsageError
from mmx.core.method import Generated
from mmx.engine.evaluation_mode import evaluating
from mmx.reports.post_sheet import PostCell, draw_post_sheet
from mmx.workflows.assemble import Assembly
from mmx.workflows.picture_or_reason import picture_or_reason

FILE = "samples.png"


def draw_samples(
    assembly: Assembly, model: nn.Module, split: str, number: int, seed: int, device: torch.device
) -> Callable[[Path], Path]:
    """The first posts of a split with a picture, beside captions and pictures that the model makes up; what
    is given back writes them into a folder.

    Raises:
        UsageError: when the method makes up nothing, or no post has a picture.
    """
    method, data = assembly.fitted.method, assembly.data(split)
    rows = [row for row, record in enumerate(data.records) if record.image is not None][:number]
    if not rows or "image" not in assembly.uses:
        raise UsageError(
            f"no post of '{assembly.manifest.name}' {split} has a picture that the run reads: there is "
            "nothing to make up. Leave out --samples."
        )
    chosen = torch.tensor(rows)
    batch = data.batch(chosen, data.caption_offsets[:-1][chosen]).to(device)
    made = Generated((), torch.empty(0))
    if method.generate is not None:
        with evaluating(model):
            made = method.generate(model, assembly.fitted.assets, batch, seed)
    if not made.captions:
        raise UsageError("this run makes up no captions and no pictures. Leave out --samples.")
    cells = []
    for place, row in enumerate(rows):
        record = data.records[row]
        picture: Image.Image | str
        picture = picture_or_reason(assembly.manifest.image_path(record))
        drawn = made.pictures[place] if made.pictures.numel() else None
        cells.append(PostCell(record.captions[0], picture, made.captions[place], drawn))

    def write(folder: Path) -> Path:
        draw_post_sheet(cells, folder / FILE)
        return folder / FILE

    return write
