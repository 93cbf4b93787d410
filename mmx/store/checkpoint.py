"""Weights and optimiser state on disk, by name; what is read must fit in name, shape and type."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mmx.core.errors import ArtifactError
from mmx.store.kinds import check_kind, read_facts
from mmx.store.tensors import TensorFile, save_tensors

FORMAT = "mmx.weights"
VERSION = 1
HEADER_KEY = "mmx"
"""All facts of the header stand under one key: safetensors writes several in an order of chance."""
NAMES_SHOWN = 3


def save_weights(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any] | None = None) -> None:
    """Write named tensors, with a few facts in the header; equal weights and facts give equal bytes.

    Raises:
        ResourceError: when the disk is full or closed; the old file stays as it was.
    """
    header = {"format": FORMAT, "version": VERSION, "file": path.name, **(facts or {})}
    save_tensors(path, _apart(tensors), {HEADER_KEY: json.dumps(header)})


def read_weights(path: Path) -> dict[str, Tensor]:
    """Every tensor of a file that `save_weights` wrote.

    Raises:
        ArtifactError: when the file is absent, broken, or of another format or version.
    """
    file = TensorFile(path)
    header = read_facts(file.metadata.get(HEADER_KEY, ""))
    check_kind(path, header, FORMAT, VERSION, "Train again, or use the mmx that wrote it.")
    if "file" in header and (header["file"] != path.name or file.sums is None):
        raise ArtifactError(
            f"'{path}' was written as '{header['file']}', with checksums. Put the file back, or train again."
        )
    return file.read_all()


def load_weights(path: Path, model: nn.Module) -> None:
    """Fill a model with the weights of a file; those of half precision become the model's.

    Raises:
        ArtifactError: when the file is broken, or its names, shapes or types are not the model's.
    """
    wanted = model.state_dict()
    tensors = _widened(read_weights(path), wanted)
    check_fit(path, tensors, wanted)
    model.load_state_dict(tensors)


def load_part(path: Path, model: nn.Module) -> None:
    """Fill that part of a model which a file has weights for, such as the new layers over frozen towers.

    Raises:
        ArtifactError: when the file is broken, or has a weight that the model has not.
    """
    wanted = model.state_dict()
    tensors = _widened(read_weights(path), wanted)
    check_fit(path, tensors, {name: tensor for name, tensor in wanted.items() if name in tensors})
    model.load_state_dict(tensors, strict=False)


def check_fit(path: Path, found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    """Compare the tensors of a file with those that are wanted.

    Raises:
        ArtifactError: naming the first that differ.
    """
    missing, extra = sorted(wanted.keys() - found.keys()), sorted(found.keys() - wanted.keys())
    if missing or extra:
        raise ArtifactError(
            f"'{path}' does not fit the model: it lacks {_some(missing)} and has {_some(extra)} too much. "
            "It was made by another method, other settings, or another version."
        )
    for name, tensor in wanted.items():
        there = found[name]
        if there.shape != tensor.shape or there.dtype != tensor.dtype:
            raise ArtifactError(
                f"'{path}' does not fit the model: '{name}' is {_form(there)}, "
                f"the model's is {_form(tensor)}. It was made with other settings, or over other captions."
            )


def optimizer_tensors(
    optimizer: torch.optim.Optimizer, names: Mapping[nn.Parameter, str]
) -> dict[str, Tensor]:
    """The optimiser's memory of each parameter, as `<parameter>/<quantity>`."""
    return {
        f"{names[parameter]}/{quantity}": value
        for parameter, memory in optimizer.state.items()
        for quantity, value in memory.items()
    }


@torch.no_grad()
def load_optimizer(path: Path, optimizer: torch.optim.Optimizer, names: Mapping[nn.Parameter, str]) -> None:
    """Give an optimiser back its memory; rates are not part of it.

    Raises:
        ArtifactError: when the file is broken or remembers other parameters.
    """
    tensors = read_weights(path)
    memory: dict[str, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        parameter, _, quantity = name.rpartition("/")
        memory.setdefault(parameter, {})[quantity] = value
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    strangers = sorted(memory.keys() - {names[p] for p in parameters})
    if strangers:
        raise ArtifactError(
            f"'{path}' remembers {_some(strangers)}, which this stage does not train. Start a new run."
        )
    places = {names[parameter]: place for place, parameter in enumerate(parameters)}
    for name, remembered in memory.items():
        parameter = parameters[places[name]]
        for quantity, value in remembered.items():
            if value.ndim and value.shape != parameter.shape:
                raise ArtifactError(
                    f"'{path}': '{name}/{quantity}' is {_form(value)}; its parameter has another shape. "
                    "Start a new run."
                )
            if value.ndim:
                # A fused optimiser walks parameter and memory side by side, so both lie in the same order.
                remembered[quantity] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
    groups = optimizer.state_dict()["param_groups"]
    state = {places[name]: remembered for name, remembered in memory.items()}
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _widened(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name: tensor.float()
        if tensor.dtype == torch.float16 and name in wanted and wanted[name].dtype == torch.float32
        else tensor
        for name, tensor in found.items()
    }


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors, a copy of each that shares its memory with an earlier one (tied weights)."""
    seen: set[int] = set()
    apart: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        place = tensor.untyped_storage().data_ptr()
        apart[name] = tensor.detach().clone() if place in seen and tensor.numel() else tensor
        seen.add(place)
    return apart


def _some(names: list[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:NAMES_SHOWN]) or "nothing"
    return f"{shown} and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else shown


def _form(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
