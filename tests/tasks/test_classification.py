"""Classification: hand-worked numbers, the reference library, and laws of calibration."""

import pytest
import torch
from sklearn import metrics as reference

from mmx.tasks.classification import (
    ClassSums,
    calibrated_losses,
    calibration_error,
    class_scores,
    classification_metrics,
    confusion_matrix,
    fit_temperature,
    intervals,
)
from mmx.tasks.resampling import paired_test


@pytest.fixture(autouse=True)
def _same_numbers_each_time() -> None:
    torch.manual_seed(0)


def metrics(predicted: list[int], labels: list[int], classes: int) -> dict[str, float]:
    return classification_metrics(confusion_matrix(torch.tensor(predicted), torch.tensor(labels), classes))


def test_rows_are_what_is_right_and_columns_what_is_said() -> None:
    found = confusion_matrix(torch.tensor([1, 1, 0]), torch.tensor([0, 1, 0]), 2)

    assert found.tolist() == [[1, 1], [0, 1]]


def test_three_classes_by_hand() -> None:
    # class 0: TP 1, FN 1; class 1: TP 1, FP 1; class 2: TP 1
    found = metrics([0, 1, 1, 2], [0, 0, 1, 2], 3)

    assert found["accuracy"] == 75.0
    assert found["macro_f1"] == pytest.approx(100 * (2 / 3 + 2 / 3 + 1) / 3)
    assert found["weighted_f1"] == pytest.approx(100 * (2 * 2 / 3 + 2 / 3 + 1) / 4)


def test_a_constant_answer_gets_the_share_of_its_class() -> None:
    found = metrics([0, 0, 0, 0], [0, 1, 2, 3], 4)

    assert found["accuracy"] == 25.0
    assert found["macro_f1"] == pytest.approx(100 * (2 / 5) / 4)


def test_a_class_that_is_neither_there_nor_said_has_no_say_in_the_mean() -> None:
    assert metrics([0, 1], [0, 1], 5)["macro_f1"] == 100.0


def test_the_numbers_are_those_of_the_reference_library() -> None:
    labels, predicted = torch.randint(0, 6, (300,)), torch.randint(0, 6, (300,))

    found, each = metrics(predicted.tolist(), labels.tolist(), 6), confusion_matrix(predicted, labels, 6)

    for average in ("weighted", "macro"):
        wanted = 100 * reference.f1_score(labels, predicted, average=average)
        assert found[f"{average}_f1"] == pytest.approx(wanted)
    precision, recall, f1, support = reference.precision_recall_fscore_support(labels, predicted)
    scores = class_scores(each)
    assert scores.precision.tolist() == pytest.approx(100 * precision)
    assert scores.recall.tolist() == pytest.approx(100 * recall)
    assert scores.f1.tolist() == pytest.approx(100 * f1)
    assert scores.support.tolist() == support.tolist()


def test_what_cannot_be_counted_is_refused() -> None:
    with pytest.raises(ValueError, match="2 classes"):
        confusion_matrix(torch.tensor([2]), torch.tensor([0]), 2)
    with pytest.raises(ValueError, match="labels"):
        confusion_matrix(torch.tensor([0, 1]), torch.tensor([0]), 2)
    with pytest.raises(ValueError, match="no sample"):
        classification_metrics(torch.zeros(2, 2, dtype=torch.int64))


def test_an_interval_holds_the_number_and_narrows_with_more_samples() -> None:
    few_labels, many_labels = torch.randint(0, 3, (50,)), torch.randint(0, 3, (5000,))

    def made(labels: torch.Tensor) -> torch.Tensor:
        return torch.where(torch.rand(len(labels)) < 0.8, labels, (labels + 1) % 3)

    few, many = made(few_labels), made(many_labels)
    narrow, wide = intervals(many, many_labels, 3), intervals(few, few_labels, 3)

    value = metrics(many.tolist(), many_labels.tolist(), 3)["accuracy"]
    assert narrow["accuracy"][0] < value < narrow["accuracy"][1]
    assert wide["accuracy"][1] - wide["accuracy"][0] > 5 * (narrow["accuracy"][1] - narrow["accuracy"][0])
    # the interval of a share p of n: 1.96 standard errors each way
    assert narrow["accuracy"][1] - value == pytest.approx(1.96 * 100 * (0.8 * 0.2 / 5000) ** 0.5, rel=0.15)


def test_all_right_has_an_interval_of_no_width() -> None:
    assert intervals(torch.tensor([0, 1]), torch.tensor([0, 1]), 2)["macro_f1"] == (100.0, 100.0)


def test_the_temperature_of_logits_that_tell_the_truth_is_one() -> None:
    logits = torch.randn(20_000, 4)
    labels = torch.distributions.Categorical(logits=logits).sample()

    assert fit_temperature(logits, labels) == pytest.approx(1.0, abs=0.05)
    assert fit_temperature(7 * logits, labels) == pytest.approx(7.0, rel=0.05)


def test_no_other_temperature_is_better() -> None:
    for spread in (1e-3, 1.0, 30.0):
        logits, labels = spread * torch.randn(300, 6, dtype=torch.float64), torch.randint(0, 6, (300,))
        logits[torch.arange(300), labels] += spread
        wanted = torch.full((300, 6), 1 / 302 / 5, dtype=torch.float64)
        wanted[torch.arange(300), labels] = 301 / 302
        best = fit_temperature(logits, labels)

        losses = [
            float(-(wanted * (logits / (best * factor)).log_softmax(1)).sum(1).mean())
            for factor in (0.99, 1.0, 1.01)
        ]

        assert min(losses) == losses[1]


def test_logits_that_are_always_wrong_end_at_the_highest_temperature() -> None:
    # a thousand times their spread, which is 1 here
    logits, labels = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]), torch.tensor([1, 0])

    assert fit_temperature(logits, labels) == pytest.approx(1000, rel=1e-6)


def test_the_scale_of_logits_does_not_change_their_calibrated_loss() -> None:
    logits, labels = torch.randn(200, 5), torch.randint(0, 5, (200,))

    torch.testing.assert_close(calibrated_losses(100 * logits, labels), calibrated_losses(logits, labels))


def test_guesses_are_no_better_than_chance_at_their_best_temperature() -> None:
    # as often right as wrong: no confidence pays
    logits = torch.tensor([[1.0, 0.0], [1.0, 0.0]])

    found = calibrated_losses(logits, torch.tensor([0, 1])).mean()

    assert found.item() == pytest.approx(torch.tensor(2.0).log().item(), abs=1e-3)


def test_logits_that_are_always_right_keep_some_doubt() -> None:
    # two classes, three samples: the right one is asked for with 4 / 5
    logits, labels = torch.tensor([[2.0, 0.0], [0.0, 2.0], [2.0, 0.0]]), torch.tensor([0, 1, 0])

    probabilities = (logits / fit_temperature(logits, labels)).softmax(1)

    torch.testing.assert_close(probabilities.max(1).values, torch.full((3,), 0.8), atol=1e-5, rtol=0)


def test_calibration_by_hand() -> None:
    # two samples at 0.8, one of them right: the gap is 30 points; one at 0.6, right: 40 points
    probabilities = torch.tensor([[0.8, 0.2], [0.8, 0.2], [0.4, 0.6]])

    found = calibration_error(probabilities, torch.tensor([0, 1, 1]), bins=10)

    assert found == pytest.approx((2 * 30 + 40) / 3)


def test_confident_and_right_has_no_calibration_error() -> None:
    assert calibration_error(torch.eye(3), torch.arange(3)) == 0.0


def test_an_interval_holds_its_number_where_classes_are_said_that_are_not_there() -> None:
    # ten classes of one false alarm each: in most draws some of them are not said
    labels = torch.zeros(100, dtype=torch.int64)
    predicted = torch.cat([torch.zeros(90, dtype=torch.int64), torch.arange(1, 11)])

    low, high = intervals(predicted, labels, 11)["macro_f1"]

    assert low <= metrics(predicted.tolist(), labels.tolist(), 11)["macro_f1"] <= high


def test_a_comparison_turned_round_has_the_same_p_though_one_run_says_classes_that_are_nowhere() -> None:
    """60 samples of 2 of 5 classes: one run says the other three 15 times, the other one never."""
    labels = torch.arange(60) % 2
    wild, tame = labels.clone(), labels.clone()
    wild[:15] = 2 + torch.arange(15) % 3
    tame[40:44] = 1 - tame[40:44]
    names = tuple("abcde")
    one, other = (ClassSums(said, labels, names) for said in (wild, tame))

    there, back = paired_test([one], [other], 200), paired_test([other], [one], 200)

    for name, test in there.items():
        assert test.difference == pytest.approx(-back[name].difference)
        assert test.p == back[name].p
    assert there["accuracy"].difference == pytest.approx(-100 * 11 / 60)
    assert there["macro_f1"].p < 0.01 and there["macro_f1"].high < 0
