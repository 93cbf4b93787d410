"""Every few-shot classifier on one set of shots, beside the loop by which probes are published.

    python benchmarks/fewshot_heads.py [--features DIR] [--shots 16] [--seeds 3] [--classes 37] [--width 512]

Of drawn blobs, or of published features (`train_16shot_features.npy` and the like in DIR). Class texts are
stand-ins, drawn near the mean of a class's validation vectors: they have the shape of real ones, so that all
classifiers run and their time is told, but no accuracy that hangs on them.

The published loop (Lin et al. 2023, as also the published gating network takes it) is written here: AdamW,
12,800 steps of 8 rows, warm-up of 50 and cosine, a look at val every 100 steps, once for each of 12 settings
of rate, decay and batch. One setting is run whole; its time for all 12 is extrapolated. Of it and of our
linear probe, which both see pictures alone, the test accuracy is printed too.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from mmx.core.classifier import ClassTexts, Episode
from mmx.heads import linear_probe
from mmx.heads.nearest_mean import class_means
from mmx.store.foreign_shots import read_shots
from mmx.store.shot_files import find_shot_files
from mmx.workflows.contenders import find_contenders

STEPS, WARM_UP, LOOK_EVERY, BATCH, SETTINGS = 12_800, 50, 100, 8, 12
RATE, DECAY = 1e-3, 1e-2
VAL_SHOTS = 4

Labelled = tuple[Tensor, Tensor]
"""Vectors [N, F] of unit length and classes [N]."""


def drawn(asked: argparse.Namespace) -> dict[str, Labelled]:
    """Blobs as wide apart as CLIP's pictures of breeds are."""
    random = torch.Generator().manual_seed(0)
    centres = normalize(torch.randn(asked.classes, asked.width, generator=random), dim=1)
    found = {}
    for split, count in (("train", asked.shots), ("val", VAL_SHOTS), ("test", 100)):
        labels = torch.arange(asked.classes).repeat_interleave(count)
        noise = torch.randn(len(labels), asked.width, generator=random) * 2.5 / asked.width**0.5
        found[split] = normalize(centres[labels] + noise, dim=1), labels
    return found


def published(folder: Path, shots: int) -> dict[str, Labelled]:
    """The vectors of a folder; of val the first few of each class."""
    found = {}
    for file in find_shot_files(folder):
        if file.shots in (None, shots):
            features, labels = read_shots(file)
            found[file.split] = normalize(features, dim=1), labels
    features, labels = found["val"]
    rows = [(labels == label).nonzero().flatten()[:VAL_SHOTS] for label in range(int(labels.max()) + 1)]
    found["val"] = features[torch.cat(rows)], labels[torch.cat(rows)]
    return found


def episode_of(data: dict[str, Labelled], seed: int) -> Episode:
    """What the classifiers see, with stand-ins for class texts."""
    (features, labels), (val, val_labels) = data["train"], data["val"]
    classes = int(labels.max()) + 1
    random = torch.Generator().manual_seed(9)
    noise = torch.randn(classes, features.shape[1], generator=random) / features.shape[1] ** 0.5
    texts = normalize(normalize(class_means(val, val_labels, classes), dim=1) + noise, dim=1)
    stand_ins = ClassTexts(texts, torch.arange(classes), ("",) * classes, True)
    return Episode(features, labels, val, val_labels, classes, stand_ins, seed)


def published_loop(episode: Episode) -> Tensor:
    """The weights [C, F] that were best on val, of one setting."""
    random = torch.Generator().manual_seed(episode.seed)
    weights = (
        0.01 * torch.randn(episode.classes, episode.features.shape[1], generator=random)
    ).requires_grad_()
    optimizer = torch.optim.AdamW([weights], lr=RATE, weight_decay=DECAY)
    warm = torch.optim.lr_scheduler.LinearLR(optimizer, 1e-2, total_iters=WARM_UP)
    fall = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS - WARM_UP)
    schedule = torch.optim.lr_scheduler.SequentialLR(optimizer, [warm, fall], [WARM_UP])
    best, most = weights.detach().clone(), -1
    for step in range(1, STEPS + 1):
        rows = torch.randint(len(episode.labels), (BATCH,), generator=random)
        optimizer.zero_grad()
        cross_entropy(100 * episode.features[rows] @ weights.T, episode.labels[rows]).backward()
        optimizer.step()
        schedule.step()
        if step % LOOK_EVERY == 0:
            with torch.no_grad():
                right = int(((episode.val_features @ weights.T).argmax(1) == episode.val_labels).sum())
            if right > most:
                best, most = weights.detach().clone(), right
    return best


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """Percent."""
    return round(100 * float((logits.argmax(1) == labels).double().mean()), 2)


def times_of_all(data: dict[str, Labelled], seeds: int) -> list[dict[str, object]]:
    """The seconds of each row of the table, a fit and the scores of test each seed; those of the clock, and
    those of the processor, which other work on the machine does not lengthen.
    """
    rows = []
    for contender in find_contenders((), ()):
        settings, seconds, busy = contender.settings("auto", 16), [], time.process_time()
        for seed in range(1, seeds + 1):
            episode = episode_of(data, seed)
            began = time.perf_counter()
            fitted = contender.classifier.fit(settings, episode)
            with torch.inference_mode():
                contender.classifier.score(settings, fitted.tensors, data["test"][0])
            seconds.append(round(time.perf_counter() - began, 3))
        busy = round(time.process_time() - busy, 2)
        median = statistics.median(seconds)
        rows.append({"name": contender.name, "median_s": median, "all_s": seconds, "cpu_s": busy})
    return rows


def beside_the_loop(data: dict[str, Labelled]) -> dict[str, dict[str, float]]:
    """Our linear probe and the published loop: seconds, and accuracy on test."""
    episode, (test, labels) = episode_of(data, 1), data["test"]
    settings = linear_probe.ProbeSettings()
    began, spent = time.perf_counter(), time.process_time()
    fitted = linear_probe.fit(settings, episode)
    ours, spent = time.perf_counter() - began, time.process_time() - spent
    began, busy = time.perf_counter(), time.process_time()
    weights = published_loop(episode)
    theirs, busy = time.perf_counter() - began, time.process_time() - busy
    return {
        "linear-probe": {
            "seconds": round(ours, 2),
            "cpu_s": round(spent, 2),
            "test_accuracy": accuracy(linear_probe.score(settings, fitted.tensors, test), labels),
        },
        f"published loop, {STEPS:,} steps": {
            "seconds": round(theirs, 2),
            "cpu_s": round(busy, 2),
            "test_accuracy": accuracy(test @ weights.T, labels),
            f"seconds_of_{SETTINGS}_settings_extrapolated": round(SETTINGS * theirs, 1),
        },
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--features", type=Path)
    for name, default in (("shots", 16), ("seeds", 3), ("classes", 37), ("width", 512)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    data = drawn(asked) if asked.features is None else published(asked.features, asked.shots)
    rows = times_of_all(data, asked.seeds)
    document = {
        "of": "drawn blobs" if asked.features is None else str(asked.features),
        "shape": f"{len(data['train'][1])} shots, {int(data['train'][1].max()) + 1} classes, width "
        f"{data['train'][0].shape[1]}, {len(data['test'][1])} test vectors",
        "threads": asked.threads,
        "rows": rows,
        "whole_table_s": round(sum(sum(row["all_s"]) for row in rows), 2),
        "whole_table_cpu_s": round(sum(row["cpu_s"] for row in rows), 2),
        "probe": beside_the_loop(data),
    }
    sys.stdout.write(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
