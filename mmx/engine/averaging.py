"""A running average of weights: what is evaluated and kept in place of the last weights."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """The exponential average of trained parameters, free of the pull of its start.

    average_t = sum_i decay^(t-i) w_i / sum_i decay^(t-i)        over steps i = 1..t, so that average_1 = w_1
    """

    def __init__(self, decay: float, parameters: Mapping[str, nn.Parameter]) -> None:
        self._decay = decay
        self._parameters = dict(parameters)
        self.tensors: dict[str, Tensor] = {name: p.detach().clone() for name, p in parameters.items()}
        self.updates = 0

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights after a step."""
        self.updates += 1
        weight = (1 - self._decay) / (1 - self._decay**self.updates)
        torch._foreach_lerp_(list(self.tensors.values()), list(self._parameters.values()), weight)

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor], updates: int) -> None:
        """Go on from a saved average."""
        for name, average in self.tensors.items():
            average.copy_(tensors[name])
        self.updates = updates

    @torch.no_grad()
    def copy_to_model(self) -> None:
        """Make the average the model's weights."""
        torch._foreach_copy_(list(self._parameters.values()), list(self.tensors.values()))

    @contextmanager
    def in_model(self) -> Iterator[None]:
        """The model with its average weights; afterwards it has its own again."""
        own = [parameter.detach().clone() for parameter in self._parameters.values()]
        self.copy_to_model()
        try:
            yield
        finally:
            with torch.no_grad():
                torch._foreach_copy_(list(self._parameters.values()), own)
