"""A mixture of discretised logistics: how probable the 256 values of each colour of a pixel are.

P(x) = sum_i pi_i [ sigma((x + 1/255 - m_i) / s_i) - sigma((x - 1/255 - m_i) / s_i) ]     x = -1 + 2 k / 255

with the lower term 0 at x = -1 and the upper one 1 at x = 1. Red, green and blue share the indicator of the
mixture, and m_G += tanh(c_0) r,  m_B += tanh(c_1) r + tanh(c_2) g.

Source: arXiv 1701.05517, section 2.1. The difference of two sigmoids is taken as
sigma(a) - sigma(b) = sigma(a) sigma(-b) (1 - exp(b - a)), which never cancels.
Shapes: B pictures, H by H pixels, M logistics.
"""

import torch
from torch import Tensor
from torch.nn import functional

from mmx.nn.precision import at_least_float32

CHANNELS, PARAMETERS = 3, 3
"""Of a logistic: a mean, a scale and a coefficient for each colour."""
LEAST_LOG_SCALE = -7.0
HALF_STEP = 1 / 255


def outputs_of(mixtures: int) -> int:
    """Numbers that a pixel's distribution takes."""
    return mixtures * (1 + CHANNELS * PARAMETERS)


def mixture_nll(pixels: Tensor, outputs: Tensor) -> Tensor:
    """Pixels [B, 3, H, H] in [-1, 1], outputs [B, 10 M, H, H] -> nats of each picture [B], summed over
    pixels.
    """
    logits, means, log_scales, coefficients = _parts(at_least_float32(outputs))
    values = at_least_float32(pixels)[:, None]  # [B, 1, 3, H, H]
    means = _shifted(means, coefficients, values)
    bins = log_bins(values, means, log_scales).sum(2)
    return -torch.logsumexp(bins + logits.log_softmax(1), dim=1).flatten(1).sum(1)


def log_bins(values: Tensor, means: Tensor, log_scales: Tensor) -> Tensor:
    """Log P of one logistic over the bin of each value; all of one shape, or of shapes that fit."""
    inverse = (-log_scales).exp()
    upper = (values + HALF_STEP - means) * inverse
    lower = (values - HALF_STEP - means) * inverse
    inside = functional.logsigmoid(upper) + functional.logsigmoid(-lower)
    inside = inside + torch.log(-torch.expm1(-2 * HALF_STEP * inverse))
    at_top, at_bottom = values > 1 - HALF_STEP, values < -1 + HALF_STEP
    found = torch.where(at_top, functional.logsigmoid(-lower), inside)
    return torch.where(at_bottom, functional.logsigmoid(upper), found)


def draw(outputs: Tensor, random: torch.Generator) -> Tensor:
    """Outputs [B, 10 M] of one pixel -> a colour each [B, 3] in [-1, 1], drawn."""
    logits, means, log_scales, coefficients = _parts(at_least_float32(outputs)[..., None, None])
    noise = torch.rand(logits.shape, generator=random).clamp(1e-5, 1 - 1e-5).to(logits.device)
    # Gumbel noise: the largest sum falls on each as often as the softmax of the logits says.
    which = (logits - (-noise.log()).log()).argmax(1, keepdim=True)
    index = which[:, :, None].expand(-1, -1, CHANNELS, -1, -1)
    mean, scale, tilt = (part.gather(1, index)[:, 0, :, 0, 0] for part in (means, log_scales, coefficients))
    even = torch.rand(mean.shape, generator=random).clamp(1e-5, 1 - 1e-5).to(mean.device)
    # the inverse of the logistic's distribution function
    colour = mean + scale.exp() * (even.log() - (1 - even).log())
    red = colour[:, 0].clamp(-1, 1)
    green = (colour[:, 1] + tilt[:, 0] * red).clamp(-1, 1)
    blue = (colour[:, 2] + tilt[:, 1] * red + tilt[:, 2] * green).clamp(-1, 1)
    return torch.stack([red, green, blue], dim=1)


def _parts(outputs: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """[B, 10 M, H, H] -> logits [B, M, H, H], means, log scales and coefficients [B, M, 3, H, H]."""
    mixtures = outputs.shape[1] // (1 + CHANNELS * PARAMETERS)
    logits, rest = outputs[:, :mixtures], outputs[:, mixtures:]
    means, log_scales, coefficients = rest.unflatten(1, (PARAMETERS, mixtures, CHANNELS)).unbind(1)
    return logits, means, log_scales.clamp_min(LEAST_LOG_SCALE), coefficients.tanh()


def _shifted(means: Tensor, coefficients: Tensor, values: Tensor) -> Tensor:
    """The means of green and blue, given the colours before them."""
    red, green = values[:, :, 0], values[:, :, 1]
    return torch.stack(
        [
            means[:, :, 0],
            means[:, :, 1] + coefficients[:, :, 0] * red,
            means[:, :, 2] + coefficients[:, :, 1] * red + coefficients[:, :, 2] * green,
        ],
        dim=2,
    )
