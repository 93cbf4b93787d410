"""A plain build of CVSE with an attention block in either branch, for mh_cvse_step.py to compare with.

Source: descriptions of the public code (BruceW91/CVSE, commit 94c2191); it keeps that code's structure, in
which concepts, graph and consensus are worked out again for every sample and each modality.
Shapes: B pairs, R regions, L words, K concepts, D width.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

REGIONS, FEATURES, WORDS, WORD, WIDTH, CONCEPTS, HEADS = 36, 2048, 8000, 300, 1024, 300, 8


class PlainPooling(nn.Module):
    """Gates over regions or words, one tensor of their size after the other."""

    def __init__(self, slots: int | None, dropout: float) -> None:
        super().__init__()
        self.part, self.mean, self.score = (
            nn.Linear(WIDTH, WIDTH),
            nn.Linear(WIDTH, WIDTH),
            nn.Linear(WIDTH, 1),
        )
        self.part_norm = nn.Identity() if slots is None else nn.BatchNorm1d(slots)
        self.mean_norm = nn.Identity() if slots is None else nn.BatchNorm1d(WIDTH)
        self.dropout = nn.Dropout(dropout)

    def forward(self, parts: Tensor, mean: Tensor) -> Tensor:
        """[B, R, D], [B, D] -> [B, D], unit length."""
        part = self.dropout(torch.tanh(self.part_norm(self.part(parts))))
        asked = self.dropout(torch.tanh(self.mean_norm(self.mean(mean))))
        together = part * asked.unsqueeze(1).repeat(1, parts.shape[1], 1)
        weights = torch.softmax(self.score(together).squeeze(2), dim=1)
        return functional.normalize((weights.unsqueeze(2) * parts).sum(dim=1), dim=-1)


class PlainAttention(nn.Module):
    """PyTorch's own multi-head attention, added and normalised."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        self.dropout, self.norm = nn.Dropout(dropout), nn.LayerNorm(WIDTH)

    def forward(self, parts: Tensor, mask: Tensor | None) -> Tensor:
        """[B, R, D], [B, R] True on padding -> [B, R, D]."""
        found, _ = self.attention(parts, parts, parts, key_padding_mask=mask)
        return self.norm(parts + self.dropout(found))


class PlainConsensus(nn.Module):
    """Scores of every concept for every item, in tensors of items x concepts x width."""

    def __init__(self) -> None:
        super().__init__()
        self.concept, self.instance, self.score = (
            nn.Linear(WIDTH, WIDTH),
            nn.Linear(WIDTH, WIDTH),
            nn.Linear(WIDTH, 1),
        )
        self.concept_norm, self.instance_norm = nn.BatchNorm1d(WIDTH), nn.BatchNorm1d(WIDTH)

    def forward(self, instance: Tensor, concepts: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        """[B, D], [K, D], [B, K] or None -> [B, D] unit length, [B, K]."""
        concept = torch.tanh(self.concept_norm(self.concept(concepts)))
        asked = (
            torch.tanh(self.instance_norm(self.instance(instance))).unsqueeze(1).repeat(1, len(concepts), 1)
        )
        shares = torch.softmax(10 * self.score(concept * asked).squeeze(2), dim=1)
        if labels is not None:
            shares = 0.35 * torch.softmax(10 * labels, dim=1) + 0.65 * shares
        return functional.normalize((shares.unsqueeze(2) * concepts).sum(dim=1), dim=-1), shares


class PlainGraph(nn.Module):
    """Two graph convolutions over an adjacency that is normalised at every call."""

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.register_buffer("weights", weights)
        self.inner, self.outer = nn.Parameter(torch.empty(WORD, 512)), nn.Parameter(torch.empty(512, WIDTH))

    def forward(self, vectors: Tensor) -> Tensor:
        """[B, K, W], all the same -> [K, D], unit length."""
        root = torch.diag(torch.pow(self.weights.sum(1), -0.5))
        adjacency = torch.matmul(torch.matmul(self.weights, root).t(), root).detach()
        inner = functional.leaky_relu(torch.matmul(adjacency, torch.matmul(vectors[0], self.inner)), 0.2)
        return functional.normalize(torch.matmul(adjacency, torch.matmul(inner, self.outer)), dim=-1)


class Plain(nn.Module):
    """The whole network in the structure of the public code."""

    def __init__(self, weights: Tensor, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.project, self.embedding = nn.Linear(FEATURES, WIDTH), nn.Embedding(WORDS, WORD, padding_idx=0)
        self.reader = nn.GRU(WORD, WIDTH, batch_first=True, bidirectional=True)
        self.image_attention, self.text_attention = PlainAttention(dropout / 4), PlainAttention(dropout / 4)
        self.image_pooling, self.text_pooling = PlainPooling(REGIONS, dropout), PlainPooling(None, dropout)
        self.graph = PlainGraph(weights)
        self.image_consensus, self.text_consensus = PlainConsensus(), PlainConsensus()
        self.image_theta, self.text_theta = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(2))

    def forward(
        self, regions: Tensor, ids: Tensor, lengths: Tensor, vectors: Tensor, labels: Tensor
    ) -> Tensor:
        """Regions, padded word ids, their lengths, stacked vectors of concepts, labels -> total loss."""
        image = functional.normalize(self.project(regions), dim=-1)
        packed = pack_padded_sequence(
            self.dropout(self.embedding(ids)), lengths, batch_first=True, enforce_sorted=False
        )
        read, _ = pad_packed_sequence(self.reader(packed)[0], batch_first=True)
        words = functional.normalize((read[:, :, :WIDTH] + read[:, :, WIDTH:]) / 2, dim=-1)
        padding = torch.arange(ids.shape[1])[None] >= lengths[:, None]
        image, words = self.image_attention(image, None), self.text_attention(words, padding)
        image_instance = self.image_pooling(image, image.mean(dim=1))
        text_instance = self.text_pooling(words, functional.normalize(words.mean(dim=1), dim=-1))
        image_consensus, image_shares = self.image_consensus(image_instance, self.graph(vectors), None)
        text_consensus, text_shares = self.text_consensus(text_instance, self.graph(vectors), labels)
        image_fused = _plain_fuse(self.image_theta, image_instance, image_consensus)
        text_fused = _plain_fuse(self.text_theta, text_instance, text_consensus)
        ranking = (
            3 * _plain_hinge(image_fused, text_fused)
            + 5 * _plain_hinge(image_instance, text_instance)
            + 1 * _plain_hinge(image_consensus, text_consensus)
        )
        apart = functional.kl_div(torch.log(image_shares), text_shares, reduction="none").sum()
        return ranking + 2 * apart


def _plain_fuse(theta: Tensor, instance: Tensor, consensus: Tensor) -> Tensor:
    weights = torch.softmax(theta, dim=0)
    return functional.normalize(weights[0] * instance + weights[1] * consensus, dim=-1)


def _plain_hinge(image: Tensor, text: Tensor) -> Tensor:
    scores = image.mm(text.t())
    diagonal = scores.diag().view(-1, 1)
    by_image = (0.2 + scores - diagonal.expand_as(scores)).clamp(min=0)
    by_text = (0.2 + scores - diagonal.t().expand_as(scores)).clamp(min=0)
    own = torch.eye(len(scores)) > 0.5
    by_image, by_text = by_image.masked_fill(own, 0), by_text.masked_fill(own, 0)
    return by_image.max(1)[0].sum() + by_text.max(0)[0].sum()
