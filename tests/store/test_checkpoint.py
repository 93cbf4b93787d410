"""Weights on disk: what was saved comes back bit for bit, and nothing else is ever accepted."""

import json
import pickle
import struct
from pathlib import Path

import pytest
import torch
from torch import nn

from mmx.core.errors import ArtifactError
from mmx.store.checkpoint import load_optimizer, load_weights, optimizer_tensors, read_weights, save_weights


def make_model(width: int = 3) -> nn.Module:
    model = nn.Sequential(nn.Linear(2, width), nn.BatchNorm1d(width))
    model.register_buffer("count", torch.tensor(7))
    return model


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save_weights(tmp_path / "w.safetensors", make_model().state_dict())
    return tmp_path / "w.safetensors"


def forge(path: Path, header: dict, data: bytes) -> None:
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def test_weights_come_back_bit_for_bit_with_buffers_and_types(tmp_path: Path) -> None:
    model = make_model()
    save_weights(tmp_path / "w.safetensors", model.state_dict())
    other = make_model()

    load_weights(tmp_path / "w.safetensors", other)

    assert all(torch.equal(other.state_dict()[name], tensor) for name, tensor in model.state_dict().items())


def test_equal_weights_give_equal_bytes(tmp_path: Path) -> None:
    tensors = make_model().state_dict()
    for name in ("a", "b"):
        save_weights(tmp_path / name / "w", tensors, {"one": "1", "two": "2"})

    assert (tmp_path / "a" / "w").read_bytes() == (tmp_path / "b" / "w").read_bytes()


def test_a_file_in_the_place_of_another_or_without_its_checksums_is_refused(tmp_path: Path) -> None:
    """The average of a training is no optimiser state, though its tensors may fit."""
    save_weights(tmp_path / "average.safetensors", make_model().state_dict())
    data = (tmp_path / "average.safetensors").read_bytes()
    (tmp_path / "optimizer.safetensors").write_bytes(data)
    (tmp_path / "average.safetensors").write_bytes(data.replace(b'"mmx.sums"', b'"mmx.sumz"'))

    for name in ("optimizer", "average"):
        with pytest.raises(ArtifactError, match=r"was written as 'average.safetensors', with checksums"):
            read_weights(tmp_path / f"{name}.safetensors")


def test_a_weight_whose_bits_changed_is_named(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(path, {"right": torch.ones(3), "spot": torch.full((2,), 7.0)})
    path.write_bytes(path.read_bytes().replace(torch.tensor(7.0).numpy().tobytes(), b"\0\0\x80\x3f", 1))

    with pytest.raises(ArtifactError, match=r"the bytes of 'spot' in .*w.safetensors' are not those"):
        read_weights(path)


def test_tied_weights_are_saved_and_stay_tied(tmp_path: Path) -> None:
    def tied() -> nn.Module:
        model = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
        model[1].weight = model[0].weight
        return model

    first, second = tied(), tied()
    save_weights(tmp_path / "w.safetensors", first.state_dict())
    load_weights(tmp_path / "w.safetensors", second)

    assert torch.equal(second[1].weight, first[0].weight) and second[0].weight is second[1].weight


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda tensors: tensors.pop("0.weight"), "it lacks '0.weight'"),
        (lambda tensors: tensors.update(more=torch.zeros(1)), "has 'more' too much"),
        (lambda tensors: tensors.update({"0.bias": torch.zeros(4)}), r"'0.bias' is float32 \[4\]"),
        (lambda tensors: tensors.update({"0.bias": torch.zeros(3).double()}), r"'0.bias' is float64 \[3\]"),
    ],
)
def test_missing_extra_and_misshapen_tensors_are_named(change, words: str, tmp_path: Path) -> None:
    tensors = dict(make_model().state_dict())
    change(tensors)
    save_weights(tmp_path / "w.safetensors", tensors)

    with pytest.raises(ArtifactError, match=words):
        load_weights(tmp_path / "w.safetensors", make_model())


def test_weights_of_half_precision_become_those_of_the_model(tmp_path: Path) -> None:
    weights = make_model().state_dict().items()
    halved = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in weights}
    save_weights(tmp_path / "w.safetensors", halved)
    model = make_model()

    load_weights(tmp_path / "w.safetensors", model)

    found = model.state_dict()
    assert all(torch.equal(found[name], tensor.to(found[name].dtype)) for name, tensor in halved.items())
    assert all(
        tensor.dtype == wanted.dtype for tensor, (_, wanted) in zip(found.values(), weights, strict=True)
    )


@pytest.mark.parametrize("cut", [0, 4, 20, -1])
def test_a_truncated_file_is_refused(cut: int, saved: Path) -> None:
    saved.write_bytes(saved.read_bytes()[:cut])

    with pytest.raises(ArtifactError, match="not a whole safetensors file"):
        read_weights(saved)


def test_overlapping_tensors_are_refused(tmp_path: Path) -> None:
    entry = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    overlapping = {**entry, "data_offsets": [4, 12]}
    forge(tmp_path / "w.safetensors", {"a": entry, "b": overlapping}, bytes(12))

    with pytest.raises(ArtifactError, match="not a whole safetensors file"):
        read_weights(tmp_path / "w.safetensors")


def test_a_pickle_under_a_safe_name_is_never_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "sprung",))

    (tmp_path / "w.safetensors").write_bytes(pickle.dumps(Trap()))

    with pytest.raises(ArtifactError):
        read_weights(tmp_path / "w.safetensors")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"format": "pt"},
        {"mmx": "[1]"},
        {"mmx": "{"},
        {"mmx": '{"format": "mmx.weights", "version": 99}'},
        {"mmx": '{"format": "other", "version": 1}'},
    ],
)
def test_a_file_of_another_format_or_version_is_refused(metadata: dict, tmp_path: Path) -> None:
    entry = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    forge(tmp_path / "w.safetensors", {"__metadata__": metadata, "a": entry}, bytes(4))

    with pytest.raises(ArtifactError, match=r"this mmx reads 'mmx\.weights', version 1"):
        read_weights(tmp_path / "w.safetensors")


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="there is no file"):
        read_weights(tmp_path / "none.safetensors")


def optimizer_after_a_step(model: nn.Module) -> torch.optim.Optimizer:
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    model(torch.ones(4, 2)).square().sum().backward()
    optimizer.step()
    return optimizer


def test_an_optimiser_gets_its_memory_back_by_name(tmp_path: Path) -> None:
    model = make_model()
    names = {parameter: name for name, parameter in model.named_parameters()}
    before = optimizer_after_a_step(model)
    save_weights(tmp_path / "o.safetensors", optimizer_tensors(before, names))
    after = torch.optim.AdamW(model.parameters(), lr=0.5)

    load_optimizer(tmp_path / "o.safetensors", after, names)

    for parameter in model.parameters():
        assert torch.equal(after.state[parameter]["exp_avg"], before.state[parameter]["exp_avg"])
        assert after.state[parameter]["step"] == before.state[parameter]["step"]
    assert after.param_groups[0]["lr"] == 0.5


def test_the_memory_of_another_models_optimiser_is_refused(tmp_path: Path) -> None:
    model = make_model()
    names = {parameter: name for name, parameter in model.named_parameters()}
    strangers = {parameter: f"other.{name}" for parameter, name in names.items()}
    optimizer = optimizer_after_a_step(model)
    save_weights(tmp_path / "o.safetensors", optimizer_tensors(optimizer, strangers))

    with pytest.raises(ArtifactError, match="which this stage does not train"):
        load_optimizer(tmp_path / "o.safetensors", optimizer, names)


def test_the_memory_of_a_parameter_of_another_shape_is_refused(tmp_path: Path) -> None:
    small, large = make_model(3), make_model(4)
    names = {parameter: name for name, parameter in large.named_parameters()}
    small_names = {parameter: name for name, parameter in small.named_parameters()}
    save_weights(tmp_path / "o.safetensors", optimizer_tensors(optimizer_after_a_step(small), small_names))

    with pytest.raises(ArtifactError, match="its parameter has another shape"):
        load_optimizer(tmp_path / "o.safetensors", torch.optim.AdamW(large.parameters()), names)
