"""A few-shot classifier kept as a run: written once, read by `predict` and `evaluate`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmx.core.assets import Assets
from mmx.core.classifier import Classifier, Evidence, Fitted, Labelling
from mmx.core.discover import find_classifiers
from mmx.core.errors import ArtifactError, UsageError
from mmx.core.settings import resolve
from mmx.store.atomic import atomic_folder
from mmx.store.run import RunFolder, check_free

TEMPERATURE, HEAD = "temperature", "head."
CLASSES, WORDS = "class_names", "class_texts"
BATCH = 1024


@dataclass(frozen=True)
class Head:
    """A classifier that has learned, with all that is needed to use it."""

    method: str
    classifier: Classifier
    settings: Any
    tensors: Mapping[str, Tensor]
    temperature: float
    """Of the validation shots: logits over it give probabilities that hold there."""
    class_names: tuple[str, ...]
    words: tuple[str, ...]
    """The class texts; none where there were none."""

    @torch.inference_mode()
    def probabilities(self, features: Tensor) -> Tensor:
        """[B, F] of unit length -> [B, C] float32 whose rows sum to 1."""
        parts = [
            self.classifier.score(self.settings, self.tensors, some) / self.temperature
            for some in features.split(BATCH)
        ]
        return torch.cat(parts).softmax(1) if parts else torch.empty(0, len(self.class_names))

    @torch.inference_mode()
    def evidence(self, features: Tensor) -> tuple[Evidence, Sequence[str]]:
        """[B, F] -> what was compared with, and the words for it.

        Raises:
            UsageError: when the classifier chooses among nothing.
        """
        if self.classifier.explain is None:
            able = [name for name, known in find_classifiers().items() if known.explain is not None]
            raise UsageError(
                f"'{self.method}' does not choose among class texts, so that there is nothing to explain. "
                f"Classifiers that do: {', '.join(able)}. Leave out --explain, or fit one with --method."
            )
        found = self.classifier.explain(self.settings, self.tensors, features)
        return found, self.words if found.reads == "texts" else self.class_names


def save_head(
    path: Path, head: Head, fitted: Fitted, facts: Mapping[str, Any], metrics: Mapping[str, Any]
) -> RunFolder:
    """Keep a classifier in a new run, which is there whole or not at all.

    Raises:
        UsageError: when the folder already holds something.
        ResourceError: when it cannot be written.
    """
    whole = {
        **facts,
        "method": head.method,
        "tasks": [task.name for task in head.classifier.tasks],
        "settings": vars(head.settings),
        "chosen": dict(fitted.chosen),
        "precision": "fp32",
        "processes": 1,
    }
    assets = Assets({CLASSES: list(head.class_names), WORDS: list(head.words)})
    tensors = {f"{HEAD}{name}": tensor.clone() for name, tensor in head.tensors.items()}
    check_free(path)
    with atomic_folder(path) as folder:
        run = RunFolder.create(folder, whole, assets)
        run.write_weights({**tensors, TEMPERATURE: torch.tensor(head.temperature)}, metrics)
    return RunFolder.open(path)


def is_head(run: RunFolder) -> bool:
    """Whether a run holds a few-shot classifier."""
    return run.facts["tasks"] == [Labelling().name]


def open_head(run: RunFolder) -> Head:
    """The classifier of a run.

    Raises:
        ArtifactError: when it is broken, or of a classifier that this mmx does not have.
    """
    name, known = run.facts["method"], find_classifiers()
    try:
        settings, _ = resolve(known[name].settings, [("run", run.facts["settings"])], "mmx fewshot --help")
    except (KeyError, UsageError) as error:
        raise ArtifactError(
            f"'{run.path}' was made by '{name}' as this mmx does not have it ({error}). "
            f"Fit it again: mmx fewshot {run.facts['dataset']}"
        ) from error
    values, tensors = run.assets().values, run.read_weights()
    again = f"Fit it again: mmx fewshot {run.facts['dataset']}"
    if TEMPERATURE not in tensors or CLASSES not in values:
        raise ArtifactError(f"'{run.path}' lacks parts of its classifier. {again}")
    head = Head(
        method=name,
        classifier=known[name],
        settings=settings,
        tensors={key.removeprefix(HEAD): tensor for key, tensor in tensors.items() if key.startswith(HEAD)},
        temperature=float(tensors[TEMPERATURE]),
        class_names=tuple(values[CLASSES]),
        words=tuple(values.get(WORDS, ())),
    )
    try:
        tried = head.probabilities(torch.zeros(1, run.facts["towers"]["image"]["width"]))
    except (KeyError, RuntimeError) as error:
        raise ArtifactError(
            f"'{run.path}' does not hold what '{name}' scores with ({error}). {again}"
        ) from error
    if tried.shape[1] != len(head.class_names):
        raise ArtifactError(
            f"'{run.path}' scores {tried.shape[1]} classes and names {len(head.class_names)}. {again}"
        )
    return head
