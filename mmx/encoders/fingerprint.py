"""A short name for what a network is: it changes with its weights, its view or its kind."""

import hashlib

import torch
from torch import nn


def fingerprint(kind: str, network: nn.Module) -> str:
    """32 hexadecimal digits of `kind` and of every parameter and buffer, in the order of their names."""
    digest = hashlib.blake2b(kind.encode(), digest_size=16)
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"\0{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy())
    return digest.hexdigest()
