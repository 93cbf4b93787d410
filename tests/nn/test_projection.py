"""Projection heads: their formulas, by hand."""

import torch
from torch.nn import functional

from mmx.nn.projection import PerceptronHead, ProjectionHead


def test_the_head_is_a_residual_layer_under_a_norm() -> None:
    head, features = ProjectionHead(6, 4).eval(), torch.randn(3, 6)

    p = features @ head.project.weight.T + head.project.bias
    by_hand = p + functional.gelu(p) @ head.refine.weight.T + head.refine.bias
    by_hand = (by_hand - by_hand.mean(1, keepdim=True)) / (
        by_hand.var(1, correction=0, keepdim=True) + 1e-5
    ).sqrt()

    torch.testing.assert_close(head(features), by_hand)


def test_the_squared_length_is_about_the_width() -> None:
    assert torch.allclose(
        ProjectionHead(6, 64).eval()(torch.randn(3, 6)).square().sum(1), torch.tensor(64.0), rtol=1e-2
    )


def test_the_perceptron_is_two_linear_maps_around_a_gelu() -> None:
    head, features = PerceptronHead(6, 5, 4).eval(), torch.randn(3, 6)

    hidden = functional.gelu(features @ head.widen.weight.T + head.widen.bias)

    torch.testing.assert_close(head(features), hidden @ head.project.weight.T + head.project.bias)


def test_dropout_of_a_head_is_for_training_only() -> None:
    for head in (ProjectionHead(6, 4, dropout=0.5), PerceptronHead(6, 64, 4, dropout=0.5)):
        features = torch.randn(3, 6)
        assert not torch.equal(head.train()(features), head(features))
        assert torch.equal(head.eval()(features), head(features))
