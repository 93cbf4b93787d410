"""find_device: auto always finds one; what is not there is said with exit code 5."""

import pytest
import torch

from mmx.core.device import default_precision, find_device
from mmx.core.errors import DeviceError, UsageError


def test_auto_finds_a_device_and_cpu_is_always_there() -> None:
    assert find_device("auto").type in {"cpu", "cuda", "mps"}
    assert find_device("cpu") == torch.device("cpu")


def test_fp32_is_the_precision_of_a_cpu() -> None:
    assert default_precision(torch.device("cpu")) == "fp32"


def test_an_absent_device_is_a_device_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match="--device cpu") as caught:
        find_device("cuda")
    assert caught.value.exit_code == 5


def test_a_word_that_is_no_device_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="'gpu'"):
        find_device("gpu")
