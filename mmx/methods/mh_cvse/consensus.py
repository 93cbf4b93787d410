"""The consensus embedding: which concepts an image or a caption looks at, and what they say together.

Source: CVSE code (BruceW91/CVSE, commit 94c2191, model_CVSE.py:478-585); arXiv 2007.08883.
Shapes: B images or captions, M concepts named, K concepts, D shared width.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


class Consensus(nn.Module):
    """Weighs the concepts by an instance embedding; images and captions have layers of their own.

    score_j = w . (tanh(BN(Wa c_j)) * tanh(BN(Wb x)))
    p       = softmax_j(sharpness score_j)                            sums to 1
    p       = share softmax_j(sharpness y_j) + (1 - share) p          for a caption that names concepts y
    x_C     = l2(sum_j p_j c_j)
    """

    def __init__(self, width: int, sharpness: float, label_share: float) -> None:
        super().__init__()
        self.sharpness, self.label_share = sharpness, label_share
        self.concept_gate, self.instance_gate = nn.Linear(width, width), nn.Linear(width, width)
        self.concept_norm, self.instance_norm = nn.BatchNorm1d(width), nn.BatchNorm1d(width)
        self.score = nn.Linear(width, 1, bias=False)

    def forward(self, instance: Tensor, concepts: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        """[B, D], [K, D], [B, K] bool or None -> consensus [B, D] unit length, shares [B, K] summing to 1."""
        asked = self.instance_norm(self.instance_gate(instance)).tanh() * self.score.weight
        # One product of matrices; the formula as it stands would fill B x K x D.
        scores = asked @ self.concept_norm(self.concept_gate(concepts)).tanh().T
        shares = (self.sharpness * scores).softmax(dim=-1)
        if labels is not None:
            named = (self.sharpness * labels.to(shares.dtype)).softmax(dim=-1)
            shares = self.label_share * named + (1 - self.label_share) * shares
        return functional.normalize(shares @ concepts, dim=-1), shares


def concept_labels(concept_ids: Tensor, count: int) -> Tensor:
    """[B, M] int64 padded with -1, K -> [B, K] bool: True at the concepts that a caption names."""
    labels = torch.zeros(concept_ids.shape[0], count + 1, dtype=torch.bool, device=concept_ids.device)
    # Padding (-1) lands in the last column, which is cut off.
    named = concept_ids.remainder(count + 1)
    return labels.scatter(1, named, torch.ones_like(named, dtype=torch.bool))[:, :count]
