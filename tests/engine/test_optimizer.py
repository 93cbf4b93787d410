"""Groups, rates and schedules: values worked out by hand."""

import pytest
import torch
from torch import nn

from mmx.core.errors import UsageError
from mmx.core.method import ParameterGroup, Schedule, Stage
from mmx.engine.averaging import WeightAverage
from mmx.engine.optimizer import Plateau, build_optimizer, rate_scale, set_rates
from mmx.engine.parameters import find_groups, fixed_names, freeze_others
from tests.engine.stub_training import TwoLayers, make_model, stage

CPU = torch.device("cpu")


def stage_of(*groups: ParameterGroup) -> Stage:
    return Stage("stage", groups, epochs=1, batch_size=2)


class Blocky(nn.Module):
    """A tower of three blocks under the name `tower`, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.tower = Tower()
        self.head = nn.Linear(2, 2)


class Tower(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.layers, self.norm = (
            nn.Linear(2, 2),
            nn.ModuleList([nn.Linear(2, 2)] * 1),
            nn.LayerNorm(2),
        )
        self.layers.append(nn.Linear(2, 2))

    def blocks(self) -> list[list[str]]:
        return [["stem"], ["layers.0."], ["layers.1.", "norm"]]


def test_a_cosine_falls_from_the_full_rate_over_the_middle_to_the_floor() -> None:
    """lr(0) = 1, lr(T/2) = (1 + floor) / 2, lr(T) = floor."""
    schedule = Schedule("cosine", floor=0.01)

    assert rate_scale(schedule, 0, 100) == 1.0
    assert rate_scale(schedule, 50, 100) == pytest.approx(0.505)
    assert rate_scale(schedule, 100, 100) == pytest.approx(0.01)
    scales = [rate_scale(schedule, step, 100) for step in range(101)]
    assert scales == sorted(scales, reverse=True)


def test_a_warm_up_rises_in_a_line_and_the_cosine_begins_where_it_ends() -> None:
    """A tenth of 100 steps: 1/10 at step 0, 1 at step 9; half way from 10 to 100 at step 55."""
    schedule = Schedule("cosine", warmup=0.1)

    assert [rate_scale(schedule, step, 100) for step in (0, 4, 9, 10)] == pytest.approx([0.1, 0.5, 1.0, 1.0])
    assert rate_scale(schedule, 55, 100) == pytest.approx(0.5)


def test_a_constant_rate_stays() -> None:
    assert {rate_scale(Schedule("constant"), step, 10) for step in range(10)} == {1.0}


def test_a_plateau_lowers_the_rate_when_more_epochs_than_its_patience_bring_nothing() -> None:
    """Patience 1: the first stalled epoch is borne, the second one lowers; then counting begins anew."""
    schedule, plateau, scales = Schedule("plateau", patience=1, factor=0.5), Plateau(), []
    for metric in (10, 20, 20, 19, 18, 17, 21, 20, 20):
        plateau.update(metric, schedule)
        scales.append(rate_scale(schedule, 5, 100, plateau.scale))

    assert scales == [1, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125]


def test_a_schedule_of_no_known_kind_is_an_error() -> None:
    with pytest.raises(ValueError, match="no schedule 'steps'"):
        rate_scale(Schedule("steps"), 0, 10)


def test_biases_norms_and_scalars_are_not_decayed() -> None:
    model = make_model()
    groups = find_groups(model, stage())

    optimizer = build_optimizer(groups, CPU)

    names = {parameter: name for name, parameter in model.named_parameters()}
    decayed = {names[p] for part in optimizer.param_groups if part["weight_decay"] for p in part["params"]}
    assert decayed == {"image.0.weight", "text.0.weight"}


def test_each_group_has_its_own_rate_times_the_schedule() -> None:
    model = make_model()
    groups = find_groups(
        model, stage_of(ParameterGroup("slow", ("image",), 0.1), ParameterGroup("fast", ("",), 1.0))
    )
    optimizer = build_optimizer(groups, CPU)

    set_rates(optimizer, 0.5)

    assert {part["name"]: part["lr"] for part in optimizer.param_groups} == {"slow": 0.05, "fast": 0.5}


def test_a_parameter_belongs_to_the_first_group_that_fits_it() -> None:
    first, rest = find_groups(
        make_model(), stage_of(ParameterGroup("first", ("image",), 0.1), ParameterGroup("rest", ("",), 1.0))
    )

    assert set(first.parameters) == {"image.0.weight", "image.0.bias"}
    assert "log_scale" in rest.parameters and not set(first.parameters) & set(rest.parameters)


def test_a_prefix_that_fits_nothing_and_a_group_left_with_nothing_are_errors() -> None:
    with pytest.raises(ValueError, match="group 'g': no parameter begins with 'imagine'"):
        find_groups(make_model(), stage_of(ParameterGroup("g", ("imagine",), 0.1)))
    with pytest.raises(ValueError, match="group 'again'"):
        find_groups(
            make_model(), stage_of(ParameterGroup("g", ("",), 0.1), ParameterGroup("again", ("image",), 0.1))
        )


def test_what_the_model_itself_holds_fixed_is_never_trained() -> None:
    model = make_model()
    model.log_scale.requires_grad_(False)

    (group,) = find_groups(model, stage(), fixed_names(model))

    assert "log_scale" not in group.parameters


def test_only_the_last_blocks_are_trained_each_at_a_share_of_the_next_ones_rate() -> None:
    group = ParameterGroup("tower", ("tower",), 1.0, last_blocks=2, layer_decay=0.5)

    (found,) = find_groups(Blocky(), stage_of(group))

    assert {name.removeprefix("tower."): share for name, share in found.shares.items()} == {
        "layers.0.weight": 0.5,
        "layers.0.bias": 0.5,
        "layers.1.weight": 1.0,
        "layers.1.bias": 1.0,
        "norm.weight": 1.0,
        "norm.bias": 1.0,
    }


def test_more_blocks_than_there_are_is_a_user_mistake() -> None:
    with pytest.raises(UsageError, match="4 blocks of 'tower' were asked for; it has 3"):
        find_groups(Blocky(), stage_of(ParameterGroup("tower", ("tower",), 1.0, last_blocks=4)))


def test_freezing_stops_gradients_and_dropout_outside_the_groups() -> None:
    model = make_model()

    freeze_others(model, find_groups(model, stage(prefixes=("text",))))

    assert {name for name, p in model.named_parameters() if p.requires_grad} == {
        name for name, _ in TwoLayers().named_parameters() if name.startswith("text")
    }
    assert model.text[2].training and not model.image.training


def test_an_average_is_the_weighted_mean_of_all_weights_since_its_start() -> None:
    """Weights 1, 2, 4 with decay 1/2: (1/4 * 1 + 1/2 * 2 + 1 * 4) / (7/4) = 3."""
    weight = nn.Parameter(torch.tensor([0.0]))
    average = WeightAverage(0.5, {"w": weight})
    for value in (1.0, 2.0, 4.0):
        weight.data.fill_(value)
        average.update()

    assert average.tensors["w"].item() == pytest.approx(3.0)
    with average.in_model():
        assert weight.item() == pytest.approx(3.0)
    assert weight.item() == 4.0
