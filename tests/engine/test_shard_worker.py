"""What a worker elsewhere makes of a shard, or says about it."""

import dataclasses
from functools import partial
from pathlib import Path

import pytest
import torch

from mmx.core.errors import ArtifactError, DataError, ResourceError
from mmx.core.home import Home
from mmx.core.reporter import SilentReporter
from mmx.encoders.load import load_encoder
from mmx.engine.extractor import ExtractOptions, extract_split
from mmx.engine.shard_worker import TRIES, Outcome, ShardWorker, Task
from mmx.store.manifest import Manifest
from mmx.store.shard import Shard
from tests.small_corpus import contents, make_corpus

OPTIONS = ExtractOptions(batch_size=2, shard_records=3)


@pytest.fixture
def manifest(home: Home) -> Manifest:
    return make_corpus(home)


@pytest.fixture(params=["random:resnet", "random:bert"])
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def task(manifest: Manifest, tmp_path: Path, name: str) -> Task:
    """As it is sent to workers; the shards that it should give lie in `whole`."""
    whole, folder, marks = (tmp_path / name for name in ("whole", "f", "marks"))
    for place in (whole, folder, marks):
        place.mkdir()
    load = partial(load_encoder, name, "image" if name == "random:resnet" else "text")
    extract_split(load(), manifest, "test", whole, OPTIONS, torch.device("cpu"), SilentReporter())
    header = Shard(min(whole.glob("*.safetensors"))).header
    threads = torch.get_num_threads()
    return Task(load, manifest.folder, folder, marks, header, 2, 1, False, "cpu", threads)


def test_a_worker_makes_the_very_files_of_one_process(task: Task, name: str) -> None:
    worker = ShardWorker(task)

    made = [worker.make(number).check() for number in (3, 0, 2, 1)]

    assert made == ([1, 3, 3, 3] if name == "random:resnet" else [0, 5, 3, 3])
    assert contents(task.folder) == contents(task.folder.parent / "whole")


@pytest.mark.parametrize("name", ["random:resnet"], indirect=True)
def test_a_machine_without_the_folder_says_so(task: Task) -> None:
    task.marks.rmdir()

    with pytest.raises(ArtifactError, match=r"does not see '.*f' of the machine that asks\. Put the home on"):
        ShardWorker(task).make(0).check()


@pytest.mark.parametrize("name", ["random:resnet"], indirect=True)
@pytest.mark.parametrize(("field", "what"), [("manifest", "manifest"), ("fingerprint", "weights")])
def test_a_machine_with_other_files_says_so(field: str, what: str, task: Task) -> None:
    header = dataclasses.replace(task.header, **{field: "another"})

    with pytest.raises(ArtifactError, match=f"has other {what} than the machine that asks.*not 'another'"):
        ShardWorker(dataclasses.replace(task, header=header)).make(0).check()
    assert contents(task.folder) == {}


@pytest.mark.parametrize("name", ["random:resnet"], indirect=True)
def test_an_unreadable_picture_is_the_same_error_here_and_there(task: Task, manifest: Manifest) -> None:
    manifest.image_path(manifest.split("test")[7]).write_bytes(b"no picture")
    worker = ShardWorker(task)

    assert worker.make(0).check() == 3
    with pytest.raises(DataError, match=r"p7\.png' of record 'id7' cannot be read"):
        worker.make(2).check()


@pytest.mark.parametrize("name", ["random:resnet"], indirect=True)
def test_a_shard_that_always_loses_its_worker_ends_the_work(task: Task) -> None:
    for _ in range(TRIES):
        assert ShardWorker(task).make(1).check() == 3

    with pytest.raises(ResourceError, match=f"shard 1 of 'test' lost its process {TRIES} times"):
        ShardWorker(task).make(1).check()
    assert ShardWorker(task).make(0).check() == 3


def test_an_outcome_without_an_error_is_a_number() -> None:
    assert Outcome(7).check() == 7
    with pytest.raises(ResourceError, match="full"):
        Outcome(error="ResourceError", words="full").check()
