"""Every method that explains its scores, against what whoever draws it relies on."""

import pytest
import torch

from mmx.core.batch import Batch
from mmx.core.discover import find_method, names
from mmx.core.method import Method
from mmx.core.task import Retrieval, Task
from tests.methods.doubles import build, count_assets, make_batch, pad, settings_of, take

METHODS = {name: find_method(name) for name in names("mmx.methods")}


def explains(task: Task) -> bool:
    return isinstance(task, Retrieval) and task.explain is not None


EXPLAINING = {
    name: method
    for name, method in METHODS.items()
    if isinstance(method, Method) and any(explains(task) for task in method.tasks)
}


@pytest.fixture(params=[(name, preset) for name, method in EXPLAINING.items() for preset in method.presets])
def made(request: pytest.FixtureRequest) -> tuple:
    """Method, settings, model in evaluation, and the task that explains."""
    name, preset = request.param
    method = EXPLAINING[name]
    settings = settings_of(method, preset)
    model = build(method, settings).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.01 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
    return method, settings, model, next(task for task in method.tasks if explains(task))


@pytest.fixture
def pairs() -> Batch:
    """Four images, each with its caption; where a model reads pixels, its own grid is all the regions."""
    return make_batch()


@torch.no_grad()
def test_each_word_of_each_caption_has_a_weight_on_each_region(made: tuple, pairs: Batch) -> None:
    _, _, model, task = made

    weights = task.explain(model, pairs)

    assert weights.shape[:2] == pairs.token_mask.shape
    assert weights.isfinite().all()
    if weights.shape[2] == pairs.region_mask.shape[1]:
        assert weights.masked_select(~pairs.region_mask[:, None]).abs().sum() == 0
    assert weights.masked_select(~pairs.token_mask[..., None]).abs().sum() == 0


@torch.no_grad()
def test_a_pair_is_explained_as_it_is_alone(made: tuple, pairs: Batch) -> None:
    _, _, model, task = made
    second = torch.tensor([1])

    weights = task.explain(model, pairs)[1]

    alone = task.explain(model, take(pairs, second, second))[0]
    padded = task.explain(model, pad(take(pairs, second, second), 3))[0]
    torch.testing.assert_close(alone, weights, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(padded[: weights.shape[0], : weights.shape[1]], weights, atol=1e-5, rtol=1e-4)


def test_it_says_which_words_it_reads(made: tuple) -> None:
    """By its text tower, or else itself, one for each token."""
    method, settings, _, _ = made
    if "text" in method.towers(settings):
        return
    assets, captions = count_assets(method, settings), ["a dog runs", "", "..."]

    words = method.caption_words(settings, assets, captions)

    record = type("Captions", (), {"captions": captions, "split": "test"})
    ids = method.caption_ids(settings, assets, [record])["token_ids"]
    assert [len(found.of_token) for found in words] == [len(numbers) for numbers in ids]
    assert all(set(found.of_token) == set(range(len(found.words))) for found in words)
