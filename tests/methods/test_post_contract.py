"""Every method that labels posts, against what such a method promises whichever it is."""

import dataclasses
import json

import pytest
import torch
from torch import Tensor, nn

from mmx.core.assets import Assets, AssetSource
from mmx.core.batch import Batch
from mmx.core.discover import find_method, names
from mmx.core.method import Method
from mmx.core.record import Record
from mmx.core.settings import resolve
from mmx.core.task import PostTask, Tagging
from mmx.core.tower import Tower
from mmx.engine.split_data import NumberTexts
from mmx.store.tensors import TensorFile, save_tensors
from tests.methods.doubles import PATCHES, SOURCE, WIDTH, StubImageTower, StubTextTower

TAGGED = (
    (("Anna", "met", "Bob"), ("B-PER", "O", "B-PER"), "positive"),
    (("in", "New", "York", "today", "again"), ("O", "B-LOC", "I-LOC", "O", "O"), "negative"),
    (("nothing",), ("O",), "neutral"),
    (("Bob", "left", "York"), ("B-PER", "O", "B-LOC"), "positive"),
)
RECORDS = tuple(
    Record(str(row), "train", None, (" ".join(words),), words=words, tags=tags, sentiment=sentiment)
    for row, (words, tags, sentiment) in enumerate(TAGGED * 2)
)
SOURCE_OF_POSTS = AssetSource(RECORDS, SOURCE.concepts, SOURCE.word_vectors)
PICTURED = torch.tensor([True, False, True, True])
TASKS = ("tagging", "sentiment")


def post_methods() -> dict[str, Method]:
    """The methods of the package whose tasks are about posts."""
    found = {name: find_method(name) for name in names("mmx.methods")}
    return {
        name: method
        for name, method in found.items()
        if isinstance(method, Method) and all(isinstance(task, PostTask) for task in method.tasks)
    }


METHODS = post_methods()
EVERY = [(name, preset) for name, method in METHODS.items() for preset in method.presets]
QUICK = [(name, preset, task) for name, preset in EVERY if preset in ("tiny", "strong") for task in TASKS]


class Built:
    """A method with settings, what it counted, and a model over stub towers."""

    def __init__(self, method: Method, settings: object, seed: int = 0) -> None:
        self.settings = settings
        self.assets = method.assets(self.settings, SOURCE_OF_POSTS)
        self.method = method.with_task(self.settings, self.assets)
        torch.manual_seed(seed)
        stubs = {"image": StubImageTower, "text": StubTextTower}
        uses = method.towers(self.settings)
        towers = {key: Tower(WIDTH, stubs[key]() if use.trainable else None) for key, use in uses.items()}
        self.model: nn.Module = method.build(self.settings, towers, self.assets)

    def batch(self, rows: list[int], extra: int = 0) -> Batch:
        """Posts, each word one token between two signs, with `extra` places of rubbish behind."""
        return make_posts(self.method, self.settings, self.assets, rows, extra)

    def outputs(self, batch: Batch) -> Tensor:
        """What the task's function says: scores of tags [C, W], or probabilities of classes [C, K]."""
        task = self.method.tasks[0]
        with torch.no_grad():
            if isinstance(task, Tagging):
                return task.decode(self.model.eval(), batch)[1]
            return task.sort(self.model.eval(), batch)

    def loss(self, batch: Batch) -> Tensor:
        """The total loss of a batch."""
        return self.method.loss(self.model, batch, 0.5)["total"]


def build_case(name: str, preset: str, task: str, seed: int = 0) -> Built:
    """A preset of a method, for a task."""
    method = METHODS[name]
    layers = [(preset, method.presets[preset]), ("test", {"task": task, "thumbnail": 8})]
    return Built(method, resolve(method.settings, layers, "")[0], seed)


def make_posts(method: Method, settings: object, assets: Assets, rows: list[int], extra: int) -> Batch:
    random = torch.Generator().manual_seed(0)
    cells = torch.randn(len(PICTURED), PATCHES, WIDTH, generator=random)
    small = torch.randint(0, 256, (len(PICTURED), 3, 8, 8), generator=random, dtype=torch.uint8)
    pixels = torch.randint(0, 256, (len(PICTURED), 3, 8, 8), generator=random, dtype=torch.uint8)
    numbers = dict(method.caption_ids(settings, assets, RECORDS[: len(PICTURED)]))
    lengths = [len(record.words) for record in RECORDS[: len(PICTURED)]]
    numbers["token_ids"] = [
        [1, *(10 + 7 * row + place for place in range(n)), 2] for row, n in enumerate(lengths)
    ]
    numbers["word_starts"] = [[place + 1 for place in range(n)] for n in lengths]
    chosen = torch.tensor(rows)
    fields = NumberTexts(numbers).read(chosen)
    for field in (*fields,) if extra else ():
        fill = {"token_ids": 3, "token_mask": False}.get(field, -1)
        behind = torch.full((len(rows), extra * (17 if field == "spelling_ids" else 1)), fill)
        fields[field] = torch.cat([fields[field], behind.to(fields[field].dtype)], dim=1)
    there = PICTURED[chosen]
    pictures = {"patch_features": cells, "thumbnails": small, "pixels": pixels}
    shown = {
        name: value[chosen] * there.view(-1, *[1] * (value.dim() - 1)).to(value.dtype)
        for name, value in pictures.items()
    }
    groups = {"image_group": chosen, "text_group": chosen}
    return Batch.of({**fields, **(shown if bool(there.any()) else {}), "image_mask": there, **groups})


@pytest.fixture(params=QUICK, ids="-".join)
def case(request: pytest.FixtureRequest) -> tuple[str, str, str]:
    """A method, a preset of it, and a task."""
    return request.param


@pytest.mark.parametrize(("name", "preset"), EVERY, ids=["-".join(pair) for pair in EVERY])
def test_every_setting_has_help_and_source_and_survives_json(name: str, preset: str) -> None:
    method = METHODS[name]
    settings = resolve(method.settings, [(preset, method.presets[preset])], "")[0]

    for field in dataclasses.fields(settings):
        assert field.metadata["help"] and field.metadata["source"], field.name
    kept = json.loads(json.dumps(dataclasses.asdict(settings)))
    assert resolve(method.settings, [("run", kept)], "")[0] == settings


@pytest.mark.parametrize("name", METHODS)
def test_there_is_a_tiny_preset_that_needs_no_download(name: str) -> None:
    method = METHODS[name]
    settings = resolve(method.settings, [("tiny", method.presets["tiny"])], "")[0]

    assert all(use.encoder.startswith("random") for use in method.towers(settings).values())


@pytest.mark.parametrize(("name", "preset"), EVERY, ids=["-".join(pair) for pair in EVERY])
def test_a_step_of_every_preset_moves_every_part_of_its_stages_and_nothing_else(
    name: str, preset: str
) -> None:
    built = build_case(name, preset, "tagging")
    for stage in built.method.stages(dataclasses.replace(built.settings, image_blocks=None)):
        model = built.model.train()
        before = {key: value.detach().clone() for key, value in model.named_parameters()}
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        built.loss(built.batch([0, 1, 2, 3])).backward()
        optimizer.step()
        moved = {key for key, value in model.named_parameters() if not torch.equal(value, before[key])}
        prefixes = [prefix for group in stage.groups for prefix in group.prefixes]
        assert all(any(key.startswith(prefix) for key in moved) for prefix in prefixes)
        assert all(key.startswith(tuple(prefixes)) for key in moved)


def test_what_was_counted_is_plain_data_and_names_the_task(case: tuple[str, str, str]) -> None:
    built = build_case(*case)

    assert json.loads(json.dumps(dict(built.assets.values))) == dict(built.assets.values)
    assert [task.name for task in built.method.tasks] == [case[2]]


def test_every_word_gets_a_known_tag_and_every_post_probabilities(case: tuple[str, str, str]) -> None:
    built = build_case(*case)
    task, batch = built.method.tasks[0], built.batch([0, 1, 2, 3])
    known = len(task.labels(built.assets))

    with torch.no_grad():
        if isinstance(task, Tagging):
            tags, scores = task.decode(built.model.eval(), batch)
            there = batch.word_starts >= 0
            assert (tags[there] >= 0).all() and (tags < known).all() and (tags[~there] == -1).all()
            assert ((scores >= 0) & (scores <= 1 + 1e-5)).all()
        else:
            torch.testing.assert_close(task.sort(built.model.eval(), batch).sum(1), torch.ones(4))


def test_a_post_does_not_depend_on_the_rest_of_the_batch(case: tuple[str, str, str]) -> None:
    built = build_case(*case)
    whole = built.outputs(built.batch([0, 1, 2, 3]))

    for row in range(4):
        alone = built.outputs(built.batch([row]))[0]
        torch.testing.assert_close(alone, whole[row, : len(alone)], atol=1e-5, rtol=0)


def test_longer_padding_changes_nothing(case: tuple[str, str, str]) -> None:
    built = build_case(*case)
    whole, longer = built.outputs(built.batch([0, 1])), built.outputs(built.batch([0, 1], extra=3))

    torch.testing.assert_close(longer[:, : whole.shape[1]], whole, atol=1e-5, rtol=0)


def test_the_loss_is_finite_and_falls_on_a_batch_learnt_by_heart(case: tuple[str, str, str]) -> None:
    built = build_case(*case)
    model, batch = built.model.eval(), built.batch([0, 1, 2, 3])
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    totals = []
    for _ in range(8):
        total = built.loss(batch)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(total.item())

    assert all(torch.isfinite(torch.tensor(totals))) and totals[-1] < totals[0]


def test_half_precision_trains_and_labels(case: tuple[str, str, str]) -> None:
    built = build_case(*case)
    with torch.autocast("cpu", torch.bfloat16):
        built.model.train()
        built.loss(built.batch([0, 1, 2, 3])).backward()
        said = built.outputs(built.batch([0, 1, 2, 3]))

    gradients = [value.grad for value in built.model.parameters() if value.grad is not None]
    assert gradients and all(gradient.isfinite().all() for gradient in gradients)
    assert said.dtype == torch.float32 and said.isfinite().all()


def test_posts_without_any_picture_are_learned_from_and_labelled(case: tuple[str, str, str]) -> None:
    built = build_case(*case)
    batch = built.batch([1, 1])

    assert batch.patch_features is None
    assert built.loss(batch).isfinite() and built.outputs(batch).isfinite().all()


def test_loading_what_was_saved_gives_equal_outputs_bit_for_bit(case: tuple[str, str, str], tmp_path) -> None:
    one, other = build_case(*case, seed=1), build_case(*case, seed=2)
    save_tensors(tmp_path / "model.safetensors", one.model.state_dict(), {})

    other.model.load_state_dict(TensorFile(tmp_path / "model.safetensors").read_all())

    batch = one.batch([0, 1, 2, 3])
    assert torch.equal(other.outputs(batch), one.outputs(batch))
