"""FeatureScaling: after training its statistics are those of all the data, however it came in batches."""

import torch

from mmx.nn.feature_scaling import FeatureScaling


def test_what_was_seen_in_batches_is_standardised_as_a_whole() -> None:
    data = 3 * torch.randn(50, 4) + torch.arange(4)
    scaling = FeatureScaling(4, power=1.0).train()
    for batch in data.split([20, 5, 25]):
        scaling(batch)

    scaled = scaling.eval()(data)

    torch.testing.assert_close(scaled.mean(0), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(scaled.var(0, correction=0), torch.ones(4), atol=1e-3, rtol=0)
    assert scaling.seen == 50


def test_before_any_training_features_pass_unchanged() -> None:
    features = torch.randn(3, 4)

    torch.testing.assert_close(FeatureScaling(4, power=1.0).eval()(features), features, atol=1e-3, rtol=1e-3)


def test_the_power_keeps_signs_and_damps_sizes() -> None:
    scaled = FeatureScaling(3, power=0.5).eval()(torch.tensor([[4.0, -9.0, 0.0]]))

    torch.testing.assert_close(scaled, torch.tensor([[2.0, -3.0, 0.0]]), atol=1e-3, rtol=0)


def test_a_feature_that_is_zero_has_a_finite_slope() -> None:
    features = torch.zeros(4, 3, requires_grad=True)

    FeatureScaling(3, power=0.5).train()(features).sum().backward()

    assert torch.isfinite(features.grad).all()


def test_evaluation_does_not_change_the_statistics() -> None:
    scaling = FeatureScaling(4, power=0.5).eval()
    before = {name: value.clone() for name, value in scaling.state_dict().items()}

    scaling(torch.randn(9, 4))

    assert all(torch.equal(value, before[name]) for name, value in scaling.state_dict().items())


def test_a_feature_that_never_changes_gives_no_nan_and_stays_small() -> None:
    data = torch.cat([torch.randn(20, 1), torch.full((20, 1), 0.3)], dim=1)
    scaling = FeatureScaling(2, power=1.0).train()

    scaled = scaling(data)

    assert torch.isfinite(scaled).all()
    assert scaled[:, 1].abs().max() < 1e-3
