"""A copy into a file of Milvus that is killed again and again, run by hand:

    python -m tests.workflows.killed_copy FOLDER [KILLS]

Prints a line a kill: whether the file was refused afterwards, how many pictures the next copy found there and
how many it sent, and whether the copy is then the same as what was copied.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch

from mmx.core.errors import ArtifactError
from mmx.core.reporter import SilentReporter
from mmx.search import milvus_copy
from mmx.search.milvus import MilvusIndex
from mmx.search.milvus_client import Connection
from mmx.store.gallery import Gallery
from mmx.workflows.picture_columns import folder_columns
from tests.search.milvus_home import milvus_file, small_gallery

ROWS, KILLS = 3000, 10


def write(address: str, gallery: Gallery) -> milvus_copy.Written:
    """In small messages, so that a kill falls between some."""
    milvus_copy.MESSAGE_BYTES = 1 << 17
    return milvus_copy.write_gallery(address, gallery, folder_columns(gallery), None, SilentReporter())


def begin(address: str) -> None:
    """What is killed: says when it begins to write, and when it has ended."""
    ask = Connection.ask

    def told(self: Connection, what: str, *about: object, **words: object) -> object:
        if what == "create_collection":
            sys.stdout.write("writing\n")
            sys.stdout.flush()
        return ask(self, what, *about, **words)

    Connection.ask = told
    write(address, small_gallery(ROWS))
    sys.stdout.write("ended\n")
    sys.stdout.flush()


def killed(address: str, after: float) -> float | None:
    """Seconds it had written when it was killed; None if it had ended before."""
    command = [sys.executable, "-m", "tests.workflows.killed_copy", "--write", address]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        child.stdout.readline()
        began = time.monotonic()
        time.sleep(after)
        os.kill(child.pid, signal.SIGKILL)
        rest = child.stdout.read()
    return None if "ended" in rest else time.monotonic() - began


def main(place: Path, kills: int) -> None:
    """Kill at random moments, each time a new file."""
    gallery, moments = small_gallery(ROWS), random.Random(0)
    began = time.monotonic()
    write(milvus_file(place), gallery)
    whole = time.monotonic() - began
    for number in range(kills):
        (place / str(number)).mkdir()
        address = milvus_file(place / str(number))
        after = killed(address, moments.uniform(0, whole))
        try:
            MilvusIndex.open(address).close()
            refused = False
        except ArtifactError:
            refused = True
        done = write(address, gallery)
        index = MilvusIndex.open(address)
        back = index.gallery()
        index.close()
        same = list(back.entries) == list(gallery.entries)
        same = same and torch.equal(back.image_vectors, gallery.image_vectors)
        about = {
            "killed_after_s": after,
            "refused": refused,
            "there": done.kept,
            "sent": done.sent,
            "same": same,
        }
        sys.stdout.write(json.dumps(about) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    if sys.argv[1] == "--write":
        begin(sys.argv[2])
    else:
        main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else KILLS)
