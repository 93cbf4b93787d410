"""Extraction on Ray: on a real cluster of two machines, with an actor and a machine lost in the middle."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from mmx.cli.app import main
from mmx.core.errors import DeviceError, ResourceError, UsageError
from mmx.core.home import Home
from mmx.core.reporter import SilentReporter
from mmx.encoders.load import load_encoder
from mmx.engine.extractor import Extraction, ExtractOptions, extract_split, make_here
from mmx.store.manifest import Manifest
from tests.engine.doomed_encoder import LOST, load_always_killed, load_doomed, wait_for
from tests.small_corpus import contents, make_corpus

# ours before Ray's: Ray reads what it may say when it is imported
pytest.importorskip("mmx.engine.ray_cluster", exc_type=ImportError)

from ray.cluster_utils import Cluster

from mmx.engine.ray_cluster import OBJECT_STORE, Crew, Node, crew, joined
from mmx.engine.ray_shards import RayShards

CPU = torch.device("cpu")
LONG = pytest.mark.skipif("MMX_TEST_RAY" not in os.environ, reason="takes a minute; set MMX_TEST_RAY=1")
MACHINE = {"num_cpus": 1, "object_store_memory": OBJECT_STORE}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """An actor a core."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Two machines with a core each; the second one will be lost."""
    os.environ["PYTHONPATH"] = str(Path(__file__).parents[2])
    # a machine that is gone refuses to answer; asked twice a second it is missed soon
    often = {"_system_config": {"health_check_period_ms": 500}, "include_dashboard": False}
    try:
        machines = Cluster(initialize_head=True, head_node_args={**MACHINE, **often})
        machines.add_node(**MACHINE, env_vars={LOST: "1"})
    except Exception as error:
        if "timed out" not in str(error):
            raise
        # Ray gives a machine half a minute to start, however busy this one is.
        pytest.skip(f"Ray could not start two machines here: {error}")
    yield machines
    machines.shutdown()


@pytest.fixture(scope="module")
def nodes(cluster: Cluster) -> Iterator[list[Node]]:
    """This process is a part of them."""
    with joined(cluster.address) as found:
        yield found


@pytest.fixture
def manifest(home: Home) -> Manifest:
    return make_corpus(home)


def _extract(
    manifest: Manifest, folder: Path, load: object, make: object = make_here, **options
) -> Extraction:
    folder.mkdir(exist_ok=True)
    return extract_split(
        load(),
        manifest,
        "test",
        folder,
        ExtractOptions(**{"batch_size": 2, "shard_records": 1, **options}),
        CPU,
        SilentReporter(),
        make,
    )


def _plain() -> nn.Module:
    return load_encoder("random:resnet", "image")


@pytest.mark.parametrize(
    ("address", "error", "words"),
    [
        ("127.0.0.1:1", DeviceError, r"nothing answers at '127\.0\.0\.1:1'.*ray start --head"),
        ("nonsense", UsageError, "no address of Ray. Write host:port"),
        ("ray://127.0.0.1:10001", UsageError, "no address of Ray"),
    ],
)
def test_a_cluster_that_is_not_there_is_told_of(address: str, error: type, words: str) -> None:
    with pytest.raises(error, match=words), joined(address):
        pass


def test_a_server_that_is_no_ray_is_told_of() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        asking = ThreadPoolExecutor(1).submit(_enter, address)
        server.accept()[0].close()
        line, _ = server.accept()
        with line:
            line.recv(100)
            line.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        with pytest.raises(DeviceError, match=f"what answers at '{address}' is no cluster of Ray"):
            asking.result()


def _enter(address: str) -> None:
    with joined(address):
        pass


@LONG
def test_a_lost_actor_and_a_lost_machine_cost_their_shards_only(
    cluster: Cluster, nodes: list[Node], manifest: Manifest, tmp_path: Path
) -> None:
    """The actor of the first machine is killed at its first batch; the second one hangs until it is lost."""
    _extract(manifest, tmp_path / "whole", _plain)
    _extract(manifest, tmp_path / "ray", _plain, part=1, parts=4)
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "ray").glob("*.safetensors")}
    second = next(node for node in cluster.worker_nodes)
    lost: list[bool] = []

    def lose() -> None:
        lost.append(wait_for(tmp_path / "hung"))
        cluster.remove_node(second, allow_graceful=False)

    losing = threading.Thread(target=lose)
    losing.start()
    make = RayShards(nodes, "auto", partial(load_doomed, tmp_path))
    done = _extract(manifest, tmp_path / "ray", _plain, make)
    losing.join()

    assert nodes == [Node(1, 0), Node(1, 0)]
    assert lost == [True] and (tmp_path / "killed").exists()
    assert (done.items, done.shards_made, done.shards_kept) == (7, 7, 3)
    assert contents(tmp_path / "ray") == contents(tmp_path / "whole")
    assert all((tmp_path / "ray" / name).stat().st_mtime_ns == then for name, then in before.items())
    assert not list((tmp_path / "ray").glob(".mmx-tmp-*/*.safetensors"))


def test_by_the_command_errors_have_the_same_words_and_exit_code(
    cluster: Cluster,
    nodes: list[Node],
    home: Home,
    manifest: Manifest,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    manifest.image_path(manifest.split("test")[2]).write_bytes(b"no picture")
    folder = home.features("small", "random-resnet-image")
    command = ["mmx", "extract", "small", "--encoder", "random:resnet", "--shard-size", "2"]
    said = []
    for more in (["--engine", "ray", "--address", cluster.address], []):
        monkeypatch.setattr(sys, "argv", [*command, *more])
        with pytest.raises(SystemExit) as left:
            main()
        assert left.value.code == 3
        shown = capsys.readouterr()
        assert shown.out == ""
        said.append([line for line in shown.err.splitlines() if line.startswith("mmx: ")])

    assert said[0] == said[1] and "record 'id2' cannot be read" in said[0][0]
    assert "of 5 shards are there and are kept" in shown.err
    assert not [path for path in folder.iterdir() if path.name.startswith(".mmx")]


def test_a_process_is_a_part_of_one_cluster(cluster: Cluster, nodes: list[Node]) -> None:
    with joined(cluster.address), joined("auto"), joined(None):
        pass
    with (
        pytest.raises(UsageError, match=r"is a part of Ray at '.*' already, not at '127\.0\.0\.1:1'"),
        joined("127.0.0.1:1"),
    ):
        pass


@LONG
def test_a_shard_that_always_kills_its_actor_ends_the_work(
    nodes: list[Node], manifest: Manifest, tmp_path: Path
) -> None:
    make = RayShards(nodes, "cpu", load_always_killed)
    with pytest.raises(ResourceError, match="lost its process 4 times"):
        _extract(manifest, tmp_path / "f", _plain, make, part=0, parts=10)


@LONG
def test_ctrl_c_ends_our_own_cluster_and_keeps_what_is_done(manifest: Manifest, home: Home) -> None:
    command = [sys.executable, "-m", "mmx", "extract", "small", "--encoder", "random:resnet"]
    command += ["--engine", "ray", "--shard-size", "1"]
    before, folder = _processes_of_ray(), home.features("small", "random-resnet-image")
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as running:
        assert wait_for(folder / "test-00000-of-00010.safetensors")
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=60)

    assert running.returncode == 130
    assert "interrupted. Finished shards are kept" in said and "Traceback" not in said
    assert _processes_of_ray() <= before
    assert 1 <= len(contents(folder)) <= 10


def _processes_of_ray() -> set[int]:
    """Whatever of Ray runs on this machine."""
    found = set()
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = place.read_bytes()
            if b"raylet" in words or b"gcs_server" in words or words.startswith(b"ray::"):
                found.add(int(place.parent.name))
    return found


@pytest.mark.parametrize(
    ("nodes", "device", "shards", "wanted"),
    [
        ([Node(8, 0), Node(3, 0)], "auto", 100, Crew(5, "cpu", 2, 0, 2)),
        ([Node(8, 0), Node(3, 0)], "cpu", 4, Crew(4, "cpu", 2, 0, 2)),
        ([Node(0, 0), Node(16, 4), Node(6, 2)], "auto", 100, Crew(6, "cuda", 3, 1, 2)),
        ([Node(1, 1)], "cuda", 1, Crew(1, "cuda", 1, 1, 2)),
        ([Node(16, 4)], "cpu", 9, Crew(8, "cpu", 2, 0, 2)),
    ],
)
def test_as_many_actors_as_fit(
    nodes: list[Node], device: str, shards: int, wanted: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)

    assert crew(nodes, device, shards) == wanted


@pytest.mark.parametrize(
    ("nodes", "device", "error", "words"),
    [
        ([Node(2, 0)], "cuda", DeviceError, "have no card"),
        ([Node(2, 0)], "mps", UsageError, "gives out no 'mps'"),
        ([Node(0, 0), Node(1, 0)], "cpu", UsageError, r"works with 2 threads.*Set OMP_NUM_THREADS=1"),
    ],
)
def test_a_crew_that_does_not_fit_is_refused(
    nodes: list[Node], device: str, error: type, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)

    with pytest.raises(error, match=words):
        crew(nodes, device, 1)
