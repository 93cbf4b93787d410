"""The towers of a run in onnxruntime, in float and int8, beside torch: how near, how fast, on one thread.

    python benchmarks/onnx_towers.py [--run offline-flickr8k] [--batches 1,32] [--rounds 15]

The run is exported to a folder that is thrown away. All engines run on one thread in one process, in turn,
and their embeddings are compared before any time counts. Seconds are those of the processor (`process_time`),
so that what else runs on the machine takes little part in them. `image` is the whole side (the encoder,
its mirrored picture, and the heads), `text` too (MiniLM and the heads); sentences are of 12 and 25 tokens.
Printed as JSON: medians, quartiles, the ratios torch / onnx and onnx / int8, and the least cosines.
What int8 costs in recall, `mmx export --int8` tells.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from mmx.core.home import Home
from mmx.core.reporter import SilentReporter
from mmx.encoders.onnx_int8 import quantize
from mmx.encoders.onnx_session import OnnxSession
from mmx.store.run import find_run
from mmx.workflows.export import ExportSettings, export
from mmx.workflows.export_examples import drawn_pictures
from mmx.workflows.matcher import Matcher, open_matcher

SENTENCE = "a man in a red shirt rides a bike"
LONG = "a man in a red shirt rides a bike along the wet sand of a beach while two dogs run beside him"


Sessions = Mapping[str, OnnxSession]
"""By engine: `onnx` in float, `int8` the same graph rounded."""


def measure(torch_side: Callable, sessions: Sessions, arrays: Mapping, rounds: int) -> dict[str, object]:
    """All engines in turn; how near first."""
    sides = {name: partial(session, arrays) for name, session in sessions.items()}
    with torch.inference_mode():
        wanted = torch_side()
        given = {name: torch.from_numpy(side()) for name, side in sides.items()}
        times: dict[str, list[float]] = {name: [] for name in ("torch", *sides)}
        for _ in range(rounds):
            for name, side in {"torch": torch_side, **sides}.items():
                began = time.process_time()
                side()
                times[name].append(time.process_time() - began)
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    quartiles = {name: statistics.quantiles(taken, n=4)[::2] for name, taken in times.items()}
    cosines = {name: torch.nn.functional.cosine_similarity(one, wanted) for name, one in given.items()}
    return {
        "ms": {name: round(1e3 * median, 2) for name, median in medians.items()},
        "quartiles_ms": {name: [round(1e3 * q, 2) for q in pair] for name, pair in quartiles.items()},
        "torch_over_onnx": round(medians["torch"] / medians["onnx"], 2),
        "onnx_over_int8": round(medians["onnx"] / medians["int8"], 2),
        "least_cosine": {name: round(float(found.min()), 8) for name, found in cosines.items()},
        "greatest_difference": {name: float((one - wanted).abs().max()) for name, one in given.items()},
    }


def of_images(matcher: Matcher, sessions: Sessions, batch: int, rounds: int) -> dict[str, object]:
    """One batch of drawn pictures."""
    drawn = drawn_pictures(matcher.view("image"))
    pixels = drawn.repeat(-(-batch // len(drawn)), 1, 1, 1)[:batch]
    return measure(lambda: matcher.embed_pixels(pixels), sessions, {"pixels": pixels.numpy()}, rounds)


def of_texts(
    matcher: Matcher, sessions: Sessions, sentence: str, batch: int, rounds: int
) -> dict[str, object]:
    """One batch of the same sentence."""
    numbers = matcher.number_texts([sentence] * batch).read(torch.arange(batch))
    arrays = {name: value.numpy() for name, value in numbers.items()}
    found = measure(lambda: matcher.embed_numbers(numbers), sessions, arrays, rounds)
    return {"tokens": numbers["token_ids"].shape[1], **found}


def sessions_of(graph: Path) -> Sessions:
    """A graph on one thread as it is, and rounded; the file is the rounded one then."""
    plain = OnnxSession(graph, threads=1)
    quantize(graph)
    return {"onnx": plain, "int8": OnnxSession(graph, threads=1)}


def main() -> None:
    """Export, measure, print."""
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("--run", type=Path, default=Path("offline-flickr8k"))
    words.add_argument("--home", type=Path)
    words.add_argument("--batches", default="1,32")
    words.add_argument("--rounds", type=int, default=15)
    given = words.parse_args()
    torch.set_num_threads(1)
    home = Home.find(given.home)
    run = find_run(given.run, home.runs).path
    with tempfile.TemporaryDirectory() as name:
        made = export(ExportSettings(run, out=Path(name) / "onnx", home=home), SilentReporter())
        matcher = open_matcher(run, None, home, "cpu")
        sessions = {side: sessions_of(made.path / f"{side}.onnx") for side in ("image", "text")}
        rows = {}
        for batch in map(int, given.batches.split(",")):
            rows[f"image, batch {batch}"] = of_images(matcher, sessions["image"], batch, given.rounds)
            for sentence in (SENTENCE, LONG):
                row = of_texts(matcher, sessions["text"], sentence, batch, given.rounds)
                rows[f"text of {row['tokens']} tokens, batch {batch}"] = row
        exported = {side: agreement.document() for side, agreement in made.sides.items()}
        about = {"run": made.run, "megabytes": made.bytes / 1e6, "exported": exported, "rows": rows}
    sys.stdout.write(json.dumps(about, indent=1) + "\n")


if __name__ == "__main__":
    main()
