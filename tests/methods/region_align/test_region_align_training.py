"""region-align from typed words to a run: stages in order, a third tower, LoRA, WiSE-FT, what is refused."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch

from mmx.core.reporter import SilentReporter
from mmx.encoders import lora
from mmx.encoders.load import load_encoder
from mmx.store.checkpoint import read_weights
from mmx.workflows.prepare import PrepareSettings, prepare
from tests.typed import typed

Mmx = Callable[..., tuple[int, str, str]]
PAIR = (
    "image_encoder=random:clip",
    "text_encoder=random:clip",
    "train_text=true",
    "image_blocks=none",
    "projection=none",
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a few drawn scenes; trainings add the features they read."""
    home = tmp_path_factory.mktemp("home")
    options = {"scenes": "24", "size": "32"}
    prepare(PrepareSettings(name="toy", home=home, options=options, workers=1), SilentReporter())
    return home


@pytest.fixture
def mmx(corpus: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture) -> Mmx:
    """Types a command; gives exit code, standard output and standard error."""
    monkeypatch.setenv("MMX_HOME", str(corpus))

    return partial(typed, monkeypatch, capfd)


def train(mmx: Mmx, out: Path, *assignments: str, init: Path | None = None) -> tuple[int, str, str]:
    words = [word for assignment in assignments for word in ("--set", assignment)]
    start = [] if init is None else ["--init", init]
    return mmx(
        *("train", "region-align", "--dataset", "toy", "--preset", "tiny", "--device", "cpu"),
        *("--workers", 0, "--json", "--out", out, *start, *words),
    )


def trained(mmx: Mmx, out: Path, *assignments: str, init: Path | None = None) -> dict:
    code, said, err = train(mmx, out, *assignments, init=init)
    assert code == 0, err
    return json.loads(said)


def stages_of(run: Path) -> list[str]:
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [line["stage"] for line in lines if line["kind"] == "epoch"]


def tensors(run: Path) -> dict[str, torch.Tensor]:
    return read_weights(run / "model.safetensors")


def evaluated(mmx: Mmx, run: Path) -> dict:
    code, said, err = mmx("evaluate", run, "--device", "cpu", "--json")
    assert code == 0, err
    return json.loads(said)


@pytest.mark.parametrize(
    "form", [("fine=attention",), ("fine=gather", "members=2", "sum_loss=0", "fine_loss=1")]
)
def test_the_second_stage_leaves_every_byte_of_the_first_as_it_was(
    mmx: Mmx, tmp_path: Path, form: tuple[str, ...]
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    trained(mmx, first, "region_epochs=0", "head_epochs=1", "learn_temperature=true", *form)
    trained(
        mmx,
        second,
        *("head_epochs=0", "epochs=0", "region_epochs=2", "region_lr=0.1", "learn_temperature=true"),
        *form,
        init=first,
    )

    before, after = tensors(first), tensors(second)

    assert (stages_of(first), stages_of(second)) == (["heads", "joint"], ["regions"] * 2)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved and all(name.startswith("alignment.") for name in moved)
    assert moved == {name for name in after if name.startswith("alignment.")}


@pytest.mark.parametrize(
    ("regions", "fine"), [("random:faster-rcnn", "attention"), ("random:resnet", "maxsim")]
)
def test_regions_of_a_third_tower_are_trained_on_measured_and_searched_with(
    mmx: Mmx, tmp_path: Path, corpus: Path, regions: str, fine: str
) -> None:
    run = tmp_path / "run"
    trained(mmx, run, f"regions={regions}", f"fine={fine}", "region_lr=0.05", "epochs=0")

    measured = evaluated(mmx, run)
    code, found, err = mmx("search", "a red circle", "--run", run, "--device", "cpu", "--json", "--top", 3)

    assert stages_of(run) == ["heads", "regions"]
    towers = json.loads((run / "settings.json").read_text())["towers"]
    assert towers["regions"]["encoder"] == regions and not towers["regions"]["trainable"]
    assert tensors(run)["region_map.features.weight"].shape == (32, towers["regions"]["width"])
    assert 0 <= measured["metrics"]["rsum"] <= 600
    assert measured["encoders"]["regions"] == regions
    assert code == 0, err
    assert [hit["rank"] for hit in json.loads(found)["hits"]] == [1, 2, 3]


def test_a_pair_that_shares_a_space_needs_no_heads(mmx: Mmx, tmp_path: Path) -> None:
    trained(mmx, tmp_path / "run", *PAIR, "loss=sigmoid", "learn_temperature=true")

    assert stages_of(tmp_path / "run") == ["joint", "regions"]
    assert not any("head" in name.split(".")[0] for name in tensors(tmp_path / "run"))
    evaluated(mmx, tmp_path / "run")


def test_a_run_keeps_its_updates_beside_the_weights_they_leave_alone(mmx: Mmx, tmp_path: Path) -> None:
    pytest.importorskip("peft")
    run = tmp_path / "run"
    result = trained(mmx, run, *PAIR, "lora_rank=2", "lr=0.01")

    kept, own = tensors(run), load_encoder("random:clip", "image").state_dict()

    name = "network.vision_model.encoder.layers.0.self_attn.q_proj"
    assert torch.equal(kept[f"image_tower.{name}.base_layer.weight"], own[f"{name}.weight"])
    assert kept[f"image_tower.{name}.lora_B.default.weight"].any()
    assert evaluated(mmx, run)["metrics"]["rsum"] == pytest.approx(result["metrics"]["rsum"])


def test_weights_in_between_are_what_is_measured(mmx: Mmx, tmp_path: Path) -> None:
    """With a share of 0 the pretrained pair is measured, however far training went."""
    runs = [tmp_path / share for share in ("none", "half")]
    for run, share in zip(runs, ("0", "0.5"), strict=True):
        trained(mmx, run, *PAIR, f"wise_share={share}", "lr=0.003", "region_epochs=0", "epochs=2")
    lines = [json.loads(line) for line in (runs[0] / "log.jsonl").read_text().splitlines()]
    values = [line["val"]["rsum"] for line in lines if line["kind"] == "epoch"]

    assert values[0] == pytest.approx(values[1])
    assert torch.equal(*(tensors(run)["image_tower.network.visual_projection.weight"] for run in runs))
    assert evaluated(mmx, runs[0])["metrics"]["rsum"] == pytest.approx(values[0])


@pytest.mark.parametrize(
    ("assignments", "code", "words"),
    [
        (("lora_rank=2",), 2, "'random:resnet' has no attention layers, so LoRA has nothing to update"),
        (
            ("projection=none", "train_text=true"),
            2,
            "'random:resnet' and 'random:bert' share no space. Set projection=perceptron",
        ),
        (("regions=faster-rcn",), 2, "there is no encoder 'faster-rcn'. Did you mean 'faster-rcnn'?"),
        (("mirror=true", "train_image=false"), 2, "mirror=true needs pixels"),
        (("region_map=2",), 2, "there is no setting 'region_map'"),
        (
            ("fine=gather", "region_window=30", "train_image=true"),
            2,
            "region_window=30 needs a square grid of at least as many patches a side",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_a_way_on(
    mmx: Mmx, tmp_path: Path, assignments: tuple[str, ...], code: int, words: str
) -> None:
    if any(assignment.startswith("lora") for assignment in assignments):
        pytest.importorskip("peft")

    found, _, err = train(mmx, tmp_path / "run", *assignments)

    assert found == code
    assert words in " ".join(err.split())


def test_lora_without_its_extra_names_it(mmx: Mmx, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lora, "inject_adapter_in_model", None)

    code, _, err = train(mmx, tmp_path / "run", *PAIR, "lora_rank=2")

    assert code == 7 and 'pip install "mmx[lora]"' in " ".join(err.split())
