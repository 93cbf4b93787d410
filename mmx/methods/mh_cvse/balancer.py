"""How much each term of the loss counts, and how that changes while the model learns.

Source: seed 000, "dynamic loss weights", whose formula it does not give: `value` is ours. `uncertainty` is
arXiv 1705.07115, `dwa` is arXiv 1803.10704, section 3.2.
Shapes: K terms.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

LARGEST_LOG = 3.0
"""Learned logarithms of weights stay within plus and minus this: a hinge at 0 would pull for ever."""
LEAST_RATIO, LARGEST_RATIO = 1e-3, 10.0
"""Ratios of losses stay within these, so that a term at 0 neither vanishes for good nor takes over."""
TINY = 1e-12


class LossBalancer(nn.Module):
    """Adds up the terms of a loss with weights that carry no gradient to it.

    static        w_i = w0_i
    value         w_i = w0_i K r_i^g / sum_j r_j^g       r_i = running mean of l_i / its mean at the start
    uncertainty   total = sum_i exp(-s_i) l_i + s_i       s_i learned in -3..3, at first -ln w0_i
    dwa           w_i = w0_i K softmax_i(r_i / T)         r_i = mean of l_i in the last epoch / in the one
                                                          before; w0_i until there were two

    For value and dwa the sum of w_i / w0_i is K at all times. All that is remembered is in buffers.
    """

    base: Tensor
    weights: Tensor
    steps: Tensor
    start_sum: Tensor
    average: Tensor
    epoch: Tensor
    epochs: Tensor
    epoch_sum: Tensor
    last: Tensor
    before: Tensor

    def __init__(
        self,
        base: Mapping[str, float],
        mode: str = "static",
        decay: float = 0.9,
        start_steps: int = 200,
        focus: float = 1.0,
        temperature: float = 2.0,
    ) -> None:
        super().__init__()
        self.names, self.mode = tuple(base), mode
        self.decay, self.start_steps, self.focus, self.temperature = decay, start_steps, focus, temperature
        weights = torch.tensor(list(base.values()))
        self.register_buffer("base", weights, persistent=False)
        self.register_buffer("weights", weights.clone())
        if mode == "uncertainty":
            self.log_variance = nn.Parameter(-weights.log().clamp(-LARGEST_LOG, LARGEST_LOG))
        if mode == "value":
            self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
            self.register_buffer("start_sum", torch.zeros_like(weights))
            self.register_buffer("average", torch.zeros_like(weights))
        if mode == "dwa":
            self.register_buffer("epoch", torch.full((), -1, dtype=torch.int64))
            self.register_buffer("epochs", torch.zeros((), dtype=torch.int64))
            self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
            for name in ("epoch_sum", "last", "before"):
                self.register_buffer(name, torch.zeros_like(weights))

    def forward(self, losses: Mapping[str, Tensor], epoch: int | None) -> Tensor:
        """The terms by name, and the epoch from 0 or None where they are not to be remembered -> total.

        In evaluation nothing is remembered either.
        """
        values = torch.stack([losses[name] for name in self.names])
        if self.mode == "uncertainty":
            return self._total_with_learned(values)
        if self.training and epoch is not None:
            self._remember(values.detach(), epoch)
        return (self.weights * values).sum()

    def gauges(self) -> dict[str, float]:
        """The weight of each term, as last used."""
        return dict(zip(self.names, self.weights.tolist(), strict=True))

    def _total_with_learned(self, values: Tensor) -> Tensor:
        if self.training:
            # In place, so that the gradient stays alive at the limit.
            self.log_variance.data.clamp_(-LARGEST_LOG, LARGEST_LOG)
            self.weights = (-self.log_variance.detach()).exp()
        return ((-self.log_variance).exp() * values + self.log_variance).sum()

    @torch.no_grad()
    def _remember(self, values: Tensor, epoch: int) -> None:
        # New tensors instead of new values: the backward pass may still need the old ones.
        if self.mode == "value":
            self._take_in_step(values)
            start = self.start_sum / self.steps.clamp(max=self.start_steps)
            ratio = (self.average / start.clamp(min=TINY)).clamp(LEAST_RATIO, LARGEST_RATIO)
            powers = ratio**self.focus
            self.weights = self.base * len(powers) * powers / powers.sum()
        if self.mode == "dwa":
            self._take_in_epoch(values, epoch)
            ratio = (self.last / self.before.clamp(min=TINY)).clamp(max=LARGEST_RATIO)
            moved = self.base * len(ratio) * (ratio / self.temperature).softmax(dim=0)
            self.weights = torch.where(self.epochs >= 2, moved, self.base)

    def _take_in_step(self, values: Tensor) -> None:
        at_start = self.steps < self.start_steps
        self.steps = self.steps + 1
        self.start_sum = self.start_sum + torch.where(at_start, values, torch.zeros_like(values))
        # The exponential mean of the steps so far, free of the pull of its start.
        share = (1 - self.decay) / (1 - self.decay**self.steps)
        self.average = self.average + share * (values - self.average)

    def _take_in_epoch(self, values: Tensor, epoch: int) -> None:
        new = (self.epoch != epoch) & (self.steps > 0)
        self.before = torch.where(new, self.last, self.before)
        self.last = torch.where(new, self.epoch_sum / self.steps.clamp(min=1), self.last)
        self.epochs = self.epochs + new
        self.epoch_sum = torch.where(new, torch.zeros_like(values), self.epoch_sum) + values
        self.steps = torch.where(new, 0, self.steps) + 1
        self.epoch = torch.full_like(self.epoch, epoch)
