"""The device a job runs on, and the number format that pays there."""

from typing import TYPE_CHECKING

from mmx.core.errors import DeviceError, UsageError

if TYPE_CHECKING:
    import torch

DEVICES = ("auto", "cpu", "cuda", "mps")


def find_device(name: str = "auto") -> "torch.device":
    """`auto` takes CUDA, then MPS, then the CPU.

    Raises:
        UsageError: for a word that is no device.
        DeviceError: when the device asked for is not there.
    """
    import torch

    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return torch.device(next(kind for kind in ("cuda", "mps", "cpu") if there[kind]))
    if name not in there:
        raise UsageError(f"there is no device '{name}'. There are: {', '.join(DEVICES)}.")
    if not there[name]:
        raise DeviceError(f"'{name}' was asked for but torch sees none. Use --device cpu, or auto.")
    return torch.device(name)


def default_precision(device: "torch.device") -> str:
    """`bf16` on CUDA cards that have it; `fp32` elsewhere, since bf16 is slower than fp32 on most CPUs."""
    import torch

    return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "fp32"


def multiplies_bfloat16() -> bool:
    """Whether the processor has instructions for bfloat16; without, its products take longer than float32."""
    import torch

    has = torch.cpu.get_capabilities()
    return bool(has.get("avx512_bf16") or has.get("amx_bf16"))


def free_memory(device: "torch.device") -> int:
    """Bytes free on an accelerator with memory of its own; 0 on others and on the CPU."""
    import torch

    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else 0
