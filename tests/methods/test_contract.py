"""Every method found, against what a method promises whichever it is."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from torch import nn

import mmx.methods
from mmx.core.batch import Batch
from mmx.core.discover import find_method, names
from mmx.core.method import Method, Stage
from mmx.core.settings import resolve
from mmx.core.task import Retrieval
from mmx.engine.measuring import Measuring
from mmx.engine.rows import join_rows
from mmx.store.tensors import TensorFile, save_tensors
from tests.methods.doubles import RECORDS, build, count_assets, make_batch, pad, settings_of, take

EXAMPLES = Path(__file__).parents[2] / "examples"


def every_method() -> dict[str, Method]:
    """The methods of the package, and the examples that live outside it."""
    outside = [str(EXAMPLES / name) for name in ("sixth_method", "late_interaction")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mmx.methods, "__path__", [*mmx.methods.__path__, *outside])
        found = {name: find_method(name) for name in names("mmx.methods")}
    # a few-shot classifier is none of these: its own laws are in tests/heads
    return {name: method for name, method in found.items() if isinstance(method, Method)}


def matches(method: Method) -> bool:
    """Whether it matches pictures and words; those that label posts have their laws in test_post_contract."""
    return all(isinstance(task, Retrieval) for task in method.tasks)


METHODS = {name: method for name, method in every_method().items() if matches(method)}


def every_case() -> list[tuple[str, str | None]]:
    """Each method with its defaults and its presets; presets that change nothing are not tried twice."""
    cases = []
    for name, method in METHODS.items():
        different = {settings_of(method, preset): preset for preset in (*method.presets, None)}
        cases += [(name, preset) for preset in different.values()]
    return cases


CASES = every_case()


def learn(method: Method, model: nn.Module, batch: Batch, stage: Stage, steps: int) -> list[float]:
    """Total losses of plain steps on one batch, on the parameters of a stage at their own rates."""
    parameters = dict(model.named_parameters())
    optimizer = torch.optim.Adam(
        [
            {
                "params": [parameters[name] for name in parameters if belongs(name, group.prefixes)],
                "lr": group.lr,
            }
            for group in stage.groups
        ],
        fused=True,
    )
    totals = []
    for _ in range(steps):
        torch.manual_seed(7)
        total = method.loss(model, batch, 0.5)["total"]
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(total.item())
    return totals


def belongs(name: str, prefixes: tuple[str, ...]) -> bool:
    """True when the parameter lies under one of the prefixes."""
    return any(name == prefix or name.startswith(prefix + ".") for prefix in prefixes)


def captions_of(stage: Stage) -> int:
    """Captions of each image in a batch for this stage."""
    return stage.captions_per_image or 2


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]}-{case[1]}")
def case(request: pytest.FixtureRequest) -> tuple[Method, object]:
    """A method with its settings, for every preset."""
    name, preset = request.param
    settings = settings_of(METHODS[name], preset)
    return METHODS[name].with_task(settings, count_assets(METHODS[name], settings)), settings


@torch.no_grad()
def embed(method: Method, model: nn.Module, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """image_embedding [B, D] and text_embedding [C, D]."""
    task = method.tasks[0]
    return task.encode_image(model.eval(), batch), task.encode_text(model.eval(), batch)


def test_every_setting_has_help_and_source_and_survives_json(case: tuple[Method, object]) -> None:
    method, settings = case

    for field in dataclasses.fields(settings):
        assert field.metadata["help"] and field.metadata["source"], field.name
    kept = json.loads(json.dumps(dataclasses.asdict(settings)))
    assert resolve(method.settings, [("run", kept)], "")[0] == settings


def test_there_is_a_tiny_preset_that_needs_no_download(case: tuple[Method, object]) -> None:
    method, _ = case

    for use in method.towers(settings_of(method, "tiny")).values():
        assert use.encoder.startswith("random")


def test_embeddings_have_unit_length(case: tuple[Method, object], batch: Batch) -> None:
    for embedding in embed(case[0], build(*case), batch):
        torch.testing.assert_close(embedding.norm(dim=1), torch.ones(len(embedding)))


def test_only_the_fields_that_the_towers_name_are_read(case: tuple[Method, object], batch: Batch) -> None:
    method, settings = case
    model, uses = build(*case), method.towers(settings)
    allowed = {"image_group", "text_group"}
    raw = {"image": {"pixels"}, "text": {"token_ids"}}
    for modality, use in uses.items():
        allowed |= raw[modality] if use.trainable else {*use.features}
    if method.caption_ids is not None:
        allowed |= {*method.caption_ids(settings, count_assets(method, settings), RECORDS)}
    allowed |= {"token_mask"} if allowed & {"token_ids", "token_features"} else set()
    allowed |= {"region_mask", "region_boxes"} if "region_features" in allowed else set()
    only = Batch(**{name: getattr(batch, name) for name in allowed})

    for bare, full in zip(embed(method, model, only), embed(method, model, batch), strict=True):
        assert torch.equal(bare, full)


def test_an_embedding_does_not_depend_on_the_rest_of_the_batch(
    case: tuple[Method, object], batch: Batch
) -> None:
    model = build(*case)
    image, text = embed(case[0], model, batch)

    alone_image, alone_text = embed(case[0], model, take(batch, torch.tensor([2]), torch.tensor([5])))

    torch.testing.assert_close(alone_image[0], image[2], atol=1e-5, rtol=0)
    torch.testing.assert_close(alone_text[0], text[5], atol=1e-5, rtol=0)


def test_longer_padding_does_not_change_an_embedding(case: tuple[Method, object], batch: Batch) -> None:
    model = build(*case)
    embeddings = embed(case[0], model, batch)

    padded = embed(case[0], model, pad(batch, extra=3))

    for longer, embedding in zip(padded, embeddings, strict=True):
        torch.testing.assert_close(longer, embedding, atol=1e-5, rtol=0)


def test_numbers_of_captions_stand_in_a_field_of_the_batch_one_row_a_caption(
    case: tuple[Method, object],
) -> None:
    method, settings = case
    if method.caption_ids is None:
        return
    captions = sum(len(record.captions) for record in RECORDS)

    ids = method.caption_ids(settings, count_assets(method, settings), RECORDS)

    assert ids.keys() <= {"token_ids", "concept_ids"}
    assert all(len(rows) == captions for rows in ids.values())
    assert all(isinstance(number, int) for rows in ids.values() for row in rows for number in row)


def test_what_was_counted_is_plain_data_and_tensors(case: tuple[Method, object]) -> None:
    method, settings = case
    assets = count_assets(method, settings)

    assert json.loads(json.dumps(dict(assets.values))) == dict(assets.values)
    assert all(isinstance(tensor, torch.Tensor) for tensor in assets.tensors.values())


def test_gauges_are_plain_numbers(case: tuple[Method, object]) -> None:
    method, _ = case
    if method.gauges is None:
        return

    read = method.gauges(build(*case))

    assert read and all(isinstance(value, float) for value in read.values())
    assert json.loads(json.dumps(read)) == read


def test_other_captions_do_not_change_an_image(case: tuple[Method, object], batch: Batch) -> None:
    model = build(*case)
    image, text = embed(case[0], model, batch)

    order = torch.randperm(len(text))
    same_image, permuted = embed(case[0], model, take(batch, torch.arange(len(image)), order))

    assert torch.equal(same_image, image)
    torch.testing.assert_close(permuted, text[order], atol=1e-5, rtol=0)


def test_the_loss_is_finite_and_falls_on_a_batch_learnt_by_heart(case: tuple[Method, object]) -> None:
    method, settings = case
    model, stage = build(*case).eval(), method.stages(settings)[-1]

    totals = learn(method, model, make_batch(captions_per_image=captions_of(stage)), stage, steps=12)

    assert all(torch.isfinite(torch.tensor(totals)))
    assert totals[-1] < totals[0]


def test_the_rows_of_two_pieces_are_those_of_the_whole_batch(case: tuple[Method, object]) -> None:
    method, settings = case
    if method.uncut is not None and method.uncut(settings) is not None:
        return
    captions = captions_of(method.stages(settings)[-1])
    model, whole = build(*case).eval(), make_batch(5, captions)

    with torch.no_grad():
        parts = [
            method.represent(
                model, take(whole, torch.arange(*ends), torch.arange(*(captions * end for end in ends)))
            )
            for ends in ((0, 2), (2, 5))
        ]
        rows = method.represent(model, whole)

    joined = join_rows(parts)
    assert joined.keys() == rows.keys()
    for name, value in rows.items():
        if len(value) == len(joined[name]):
            torch.testing.assert_close(joined[name], value, atol=1e-5, rtol=0)


def test_reading_a_batch_in_training_leaves_nothing_behind_but_statistics_that_can_be_cut(
    case: tuple[Method, object], batch: Batch
) -> None:
    method, settings = case
    if method.uncut is not None and method.uncut(settings) is not None:
        return
    model = build(*case).train()
    for module in model.modules():
        if isinstance(module, Measuring):
            module.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}

    method.represent(model, make_batch(4, captions_of(method.stages(settings)[-1])))

    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_half_precision_trains_and_embeds(case: tuple[Method, object]) -> None:
    method, settings = case
    model, stage = build(*case).train(), method.stages(settings)[-1]
    batch = make_batch(captions_per_image=captions_of(stage))

    with torch.autocast("cpu", torch.bfloat16):
        method.loss(model, batch, 0.5)["total"].backward()
        image, text = embed(method, model, batch)

    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    assert gradients and all(torch.isfinite(gradient).all() for gradient in gradients)
    for embedding in (image, text):
        assert embedding.dtype == torch.float32
        torch.testing.assert_close(embedding.norm(dim=1), torch.ones(len(embedding)), atol=1e-3, rtol=0)


def test_a_training_step_moves_every_part_of_its_stage_and_nothing_else(case: tuple[Method, object]) -> None:
    method, settings = case
    for stage in method.stages(settings):
        model = build(*case).train()
        before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
        learn(method, model, make_batch(captions_per_image=captions_of(stage)), stage, steps=2)
        moved = {
            name for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])
        }
        for prefix in (prefix for group in stage.groups for prefix in group.prefixes):
            inside = {name for name in before if belongs(name, (prefix,))}
            assert inside & moved, f"stage {stage.name}: nothing of {prefix} moved"
            moved -= inside
        assert not moved


def test_loading_what_was_saved_gives_equal_scores_bit_for_bit(
    case: tuple[Method, object], batch: Batch, tmp_path
) -> None:
    method, _ = case
    model, other = build(*case, seed=1), build(*case, seed=2)
    save_tensors(tmp_path / "model.safetensors", model.state_dict(), {})

    other.load_state_dict(TensorFile(tmp_path / "model.safetensors").read_all())

    for loaded, kept in zip(embed(method, other, batch), embed(method, model, batch), strict=True):
        assert torch.equal(loaded, kept)


def test_the_last_stage_trains_some_epoch_with_positive_rates(case: tuple[Method, object]) -> None:
    method, settings = case

    last = method.stages(settings)[-1]

    assert last.epochs > 0 and last.batch_size > 0
    assert all(group.lr > 0 for group in last.groups)


def test_a_second_look_at_a_pair_depends_on_that_pair_alone(
    case: tuple[Method, object], batch: Batch
) -> None:
    method, _ = case
    second, model = method.tasks[0].rerank, build(*case).eval()
    if second is None:
        return
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)

    def look(seen: Batch) -> torch.Tensor:
        kept = second.keep_image(model, seen), second.keep_text(model, seen)
        assert all(
            len(value) == len(rows)
            for side, rows in zip(kept, (seen.pixels, seen.token_ids), strict=True)
            for value in side.values()
        )
        return second.fine(model, *kept)

    with torch.no_grad():
        whole = look(batch)
        alone = look(take(batch, torch.tensor([2]), torch.tensor([5])))
        longer = look(pad(batch, extra=3))

    assert whole.shape == (len(batch.token_ids), len(batch.pixels)) and whole.dtype == torch.float32
    assert isinstance(second.weight(model), float)
    torch.testing.assert_close(alone[0, 0], whole[5, 2], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(longer, whole, atol=1e-5, rtol=1e-4)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cpu_and_cuda_agree(case: tuple[Method, object], batch: Batch) -> None:
    device = torch.device("cuda")
    on_cpu = embed(case[0], build(*case), batch)

    on_cuda = embed(case[0], build(*case).to(device), batch.to(device))

    for one, other in zip(on_cpu, on_cuda, strict=True):
        torch.testing.assert_close(one, other.cpu(), atol=1e-3, rtol=0)
