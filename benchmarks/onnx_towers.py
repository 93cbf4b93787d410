"""The towers of a run in onnxruntime beside torch: how near, and how fast, on one thread.

    python benchmarks/onnx_towers.py [--run offline-flickr8k] [--batches 1,32] [--rounds 15]

The run is exported to a folder that is thrown away. Both engines run on one thread in one process, in turn,
and their embeddings are compared before any time counts. Seconds are those of the processor (`process_time`),
so that what else runs on the machine takes little part in them. `image` is the whole side (the encoder,
its mirrored picture, and the heads), `text` too (MiniLM and the heads); sentences are of 12 and 25 tokens.
Printed as JSON: medians, quartiles, the ratio torch / onnx, and the least cosine.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from mmx.core.home import Home
from mmx.core.reporter import SilentReporter
from mmx.encoders.onnx_session import OnnxSession
from mmx.store.run import find_run
from mmx.workflows.export import ExportSettings, export
from mmx.workflows.export_examples import drawn_pictures
from mmx.workflows.matcher import Matcher, open_matcher

SENTENCE = "a man in a red shirt rides a bike"
LONG = "a man in a red shirt rides a bike along the wet sand of a beach while two dogs run beside him"


def measure(torch_side: Callable, onnx_side: Callable, rounds: int) -> dict[str, object]:
    """Both in turn; how near first."""
    with torch.inference_mode():
        wanted, given = torch_side(), torch.from_numpy(onnx_side())
        cosine = float(torch.nn.functional.cosine_similarity(given, wanted).min())
        times: dict[str, list[float]] = {"torch": [], "onnx": []}
        for _ in range(rounds):
            for name, side in (("torch", torch_side), ("onnx", onnx_side)):
                began = time.process_time()
                side()
                times[name].append(time.process_time() - began)
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    quartiles = {name: statistics.quantiles(taken, n=4)[::2] for name, taken in times.items()}
    return {
        "ms": {name: round(1e3 * median, 2) for name, median in medians.items()},
        "quartiles_ms": {name: [round(1e3 * q, 2) for q in pair] for name, pair in quartiles.items()},
        "torch_over_onnx": round(medians["torch"] / medians["onnx"], 2),
        "least_cosine": round(cosine, 8),
        "greatest_difference": float((given - wanted).abs().max()),
    }


def of_images(matcher: Matcher, session: OnnxSession, batch: int, rounds: int) -> dict[str, object]:
    """One batch of drawn pictures."""
    drawn = drawn_pictures(matcher.view("image"))
    pixels = drawn.repeat(-(-batch // len(drawn)), 1, 1, 1)[:batch]
    array = pixels.numpy()
    return measure(lambda: matcher.embed_pixels(pixels), lambda: session({"pixels": array}), rounds)


def of_texts(
    matcher: Matcher, session: OnnxSession, sentence: str, batch: int, rounds: int
) -> dict[str, object]:
    """One batch of the same sentence."""
    numbers = matcher.number_texts([sentence] * batch).read(torch.arange(batch))
    arrays = {name: value.numpy() for name, value in numbers.items()}
    found = measure(lambda: matcher.embed_numbers(numbers), lambda: session(arrays), rounds)
    return {"tokens": numbers["token_ids"].shape[1], **found}


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
        sessions = {side: OnnxSession(made.path / f"{side}.onnx", threads=1) for side in ("image", "text")}
        rows = {}
        for batch in map(int, given.batches.split(",")):
            rows[f"image, batch {batch}"] = of_images(matcher, sessions["image"], batch, given.rounds)
            for sentence in (SENTENCE, LONG):
                row = of_texts(matcher, sessions["text"], sentence, batch, given.rounds)
                rows[f"text of {row['tokens']} tokens, batch {batch}"] = row
        exported = {side: agreement.as_document() for side, agreement in made.sides.items()}
        about = {"run": made.run, "megabytes": made.bytes / 1e6, "exported": exported, "rows": rows}
    sys.stdout.write(json.dumps(about, indent=1) + "\n")


if __name__ == "__main__":
    main()
