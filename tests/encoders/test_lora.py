"""LoRA: updates of a tower's attention that change nothing at first, and are all that it learns."""

import pytest
import torch

from mmx.core.errors import MissingExtraError, UsageError
from mmx.core.tower import Lora
from mmx.encoders import lora as module
from mmx.encoders.load import adapt, load_encoder
from mmx.encoders.lora import add_lora, attention_layers
from mmx.store.checkpoint import load_weights, save_weights

LORA = Lora(rank=4, alpha=8.0)
TOWERS = [
    ("clip", "image"),
    ("siglip", "image"),
    ("vit", "image"),
    ("clip", "text"),
    ("siglip", "text"),
    ("bert", "text"),
    ("distilbert", "text"),
    ("roberta", "text"),
]
EACH = pytest.mark.parametrize(("kind", "modality"), TOWERS)


@pytest.fixture
def peft() -> None:
    """The tests below need the extra."""
    pytest.importorskip("peft")


def run(tower: torch.nn.Module) -> torch.Tensor:
    """The pooled features of a few drawn inputs."""
    generator = torch.Generator().manual_seed(3)
    if tower.modality == "image":
        size = (3, 3, tower.view.height, tower.view.width)
        return tower(torch.randint(0, 256, size, generator=generator, dtype=torch.uint8))["image_features"]
    ids = torch.randint(2, 2000, (3, 6), generator=generator)
    ids[:, -1] = 2047
    return tower(ids, torch.ones(3, 6, dtype=torch.bool))["text_features"]


@EACH
def test_queries_keys_values_and_outputs_of_every_layer_are_found(kind: str, modality: str) -> None:
    names = attention_layers(load_encoder(f"random:{kind}", modality))

    assert len(names) == 2 * 4
    assert not any("mlp" in name or "head" in name or "intermediate" in name for name in names)


@EACH
def test_at_first_nothing_changes_and_only_the_updates_can_be_trained(
    kind: str, modality: str, peft: None
) -> None:
    plain, tower = (load_encoder(f"random:{kind}", modality) for _ in range(2))
    adapt(tower, LORA)

    torch.testing.assert_close(run(tower), run(plain), atol=1e-5, rtol=1e-5)
    assert tower.fingerprint == plain.fingerprint
    trained = [name for name, parameter in tower.named_parameters() if parameter.requires_grad]
    assert len(trained) == 2 * 4 * 2 and all(".lora_" in name for name in trained)


@EACH
def test_every_update_gets_a_gradient_once_it_is_not_zero(kind: str, modality: str, peft: None) -> None:
    tower = adapt(load_encoder(f"random:{kind}", modality), LORA)
    learned = {name: p for name, p in tower.named_parameters() if p.requires_grad}
    torch.nn.init.normal_(next(p for name, p in learned.items() if "lora_B" in name))

    run(tower).square().sum().backward()

    silent = [name for name, p in learned.items() if "lora_B" in name and not p.grad.abs().max() > 0]
    # the key's bias of softmax aside, each B is felt by the output
    assert not silent


def test_an_update_is_alpha_over_rank_times_b_a(peft: None) -> None:
    tower = adapt(load_encoder("random:clip", "image"), LORA)
    layer = tower.network.vision_model.encoder.layers[0].self_attn.q_proj
    torch.nn.init.normal_(layer.lora_B["default"].weight)
    given = torch.randn(5, 64)

    update = given @ layer.lora_A["default"].weight.T @ layer.lora_B["default"].weight.T

    torch.testing.assert_close(layer(given), layer.base_layer(given) + 8.0 / 4 * update)


def test_updates_are_drawn_alike_whatever_was_drawn_before(peft: None) -> None:
    torch.manual_seed(1)
    one = adapt(load_encoder("random:vit", "image"), LORA).state_dict()
    torch.manual_seed(2)
    state = torch.get_rng_state()
    other = adapt(load_encoder("random:vit", "image"), LORA).state_dict()

    assert all(torch.equal(value, other[name]) for name, value in one.items())
    assert torch.equal(torch.get_rng_state(), state)


def test_updates_are_saved_and_loaded_with_all_other_weights(peft: None, tmp_path) -> None:
    one, other = (adapt(load_encoder("random:clip", "text"), LORA) for _ in range(2))
    for name, parameter in one.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    save_weights(tmp_path / "model.safetensors", one.state_dict())

    assert not torch.equal(run(other), run(one))
    load_weights(tmp_path / "model.safetensors", other)

    assert torch.equal(run(other), run(one))


def test_blocks_of_a_tower_with_updates_are_those_it_had(peft: None) -> None:
    plain, tower = (load_encoder("random:clip", "image") for _ in range(2))

    assert adapt(tower, LORA).blocks() == plain.blocks()


def test_a_network_without_attention_is_refused(peft: None) -> None:
    with pytest.raises(UsageError, match="'random:resnet' has no attention layers, so LoRA has nothing"):
        adapt(load_encoder("random:resnet", "image"), LORA)


def test_without_the_library_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "inject_adapter_in_model", None)

    with pytest.raises(MissingExtraError, match=r"needs peft, which is not installed.*mmx\[lora\]") as caught:
        add_lora(load_encoder("random:clip", "image"), LORA)
    assert caught.value.exit_code == 7
