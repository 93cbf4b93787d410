"""A linear-chain conditional random field over the words of a post.

score(y) = start[y_1] + sum_t emission[t, y_t] + sum_t transition[y_(t-1), y_t] + end[y_n]

Source: Lafferty, McCallum and Pereira, ICML 2001; sums by scaled products, as in Rabiner, 1989.
Shapes: C posts, W words, K tags. Words there are come first: a mask is True up to the end of a post.
"""

import torch
from torch import Tensor, nn

TINY = 1e-30
IMPOSSIBLE = -1e4
"""Not minus infinity: zero times that is no number."""


class Crf(nn.Module):
    """Scores of tags beside each other; those that may not be are known in decoding alone."""

    def __init__(self, tags: int, illegal: Tensor | None = None, illegal_start: Tensor | None = None) -> None:
        """Begin at even scores.

        Args:
            tags: K.
            illegal: [K, K] bool, which tag may not be followed by which when tags are decoded.
            illegal_start: [K] bool, which may not come first.
        """
        super().__init__()
        self.start = nn.Parameter(torch.empty(tags).uniform_(-0.1, 0.1))
        self.end = nn.Parameter(torch.empty(tags).uniform_(-0.1, 0.1))
        self.transitions = nn.Parameter(torch.empty(tags, tags).uniform_(-0.1, 0.1))
        none = torch.zeros(tags, tags, dtype=torch.bool)
        self.register_buffer("illegal", none if illegal is None else illegal, persistent=False)
        self.register_buffer(
            "illegal_start", none[0] if illegal_start is None else illegal_start, persistent=False
        )

    def nll(self, emissions: Tensor, tags: Tensor, mask: Tensor) -> Tensor:
        """[C, W, K] float32, [C, W] int64, [C, W] bool -> [C] nats: log Z less the score of the tags."""
        return self.log_partition(emissions, mask) - self.score(emissions, tags, mask)

    def score(self, emissions: Tensor, tags: Tensor, mask: Tensor) -> Tensor:
        """[C, W, K], [C, W], [C, W] -> [C]."""
        there = mask.to(emissions.dtype)
        words = emissions.gather(2, tags[..., None]).squeeze(2)
        steps = self.transitions[tags[:, :-1], tags[:, 1:]]
        last = tags.gather(1, mask.sum(1, keepdim=True) - 1).squeeze(1)
        return (
            self.start[tags[:, 0]] + (words * there).sum(1) + (steps * there[:, 1:]).sum(1) + self.end[last]
        )

    def log_partition(self, emissions: Tensor, mask: Tensor) -> Tensor:
        """[C, W, K] float32, [C, W] bool -> log Z [C]."""
        state = self.start + emissions[:, 0]
        weights, shift = _scaled(self.transitions)
        for word in range(1, emissions.shape[1]):
            reached = _product(state, weights) + shift + emissions[:, word]
            state = torch.where(mask[:, word, None], reached, state)
        return torch.logsumexp(state + self.end, dim=1)

    def decode(self, emissions: Tensor, mask: Tensor) -> Tensor:
        """[C, W, K] float32, [C, W] bool -> the best legal tags [C, W] int64, -1 behind the last word."""
        transitions = self.transitions + IMPOSSIBLE * self.illegal
        state = self.start + IMPOSSIBLE * self.illegal_start + emissions[:, 0]
        stay = torch.arange(emissions.shape[2], device=emissions.device)
        before = []
        for word in range(1, emissions.shape[1]):
            best, origin = (state[:, :, None] + transitions).max(dim=1)
            there = mask[:, word, None]
            state = torch.where(there, best + emissions[:, word], state)
            before.append(torch.where(there, origin, stay))
        tag = (state + self.end).argmax(dim=1)
        found = [tag]
        for origin in reversed(before):
            tag = origin.gather(1, tag[:, None]).squeeze(1)
            found.append(tag)
        return torch.stack(found[::-1], dim=1).masked_fill(~mask, -1)

    def marginals(self, emissions: Tensor, mask: Tensor) -> Tensor:
        """[C, W, K] float32, [C, W] bool -> how probable each tag of each word is [C, W, K]; 0 on padding."""
        weights, shift = _scaled(self.transitions)
        forward = [self.start + emissions[:, 0]]
        for word in range(1, emissions.shape[1]):
            reached = _product(forward[-1], weights) + shift + emissions[:, word]
            forward.append(torch.where(mask[:, word, None], reached, forward[-1]))
        backward = [self.end.expand(len(emissions), -1)]
        for word in range(emissions.shape[1] - 1, 0, -1):
            reached = _product(backward[-1] + emissions[:, word], weights.T) + shift
            backward.append(torch.where(mask[:, word, None], reached, backward[-1]))
        joint = torch.stack(forward, dim=1) + torch.stack(backward[::-1], dim=1)
        return joint.softmax(dim=2) * mask[..., None]


def _scaled(transitions: Tensor) -> tuple[Tensor, Tensor]:
    """Exp of the scores less their largest, and that largest."""
    largest = transitions.max().detach()
    return (transitions - largest).exp(), largest


def _product(state: Tensor, weights: Tensor) -> Tensor:
    """[C, K], [K, K] -> log(exp(state) weights) [C, K], scaled by the largest of each row."""
    # As a product of matrices, since a logsumexp over both tags would hold [C, K, K] for each word.
    largest = state.max(dim=1, keepdim=True).values.detach()
    return ((state - largest).exp() @ weights).clamp_min(TINY).log() + largest


def illegal_pairs(tags: list[str]) -> tuple[Tensor, Tensor]:
    """Which tag may not follow which [K, K], and which may not come first [K]: I-X but behind B-X or I-X."""
    inside = torch.tensor([tag.startswith("I-") for tag in tags])
    same = torch.tensor([[before[2:] == tag[2:] and before != tag[2:] for tag in tags] for before in tags])
    outside = torch.tensor([tag == "O" for tag in tags])
    return inside[None, :] & ~(same & ~outside[:, None]), inside
