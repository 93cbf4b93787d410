"""A trained run, opened to be used again: its method, its towers, its weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mmx.core.classifier import Classifier
from mmx.core.device import default_precision
from mmx.core.discover import find_method
from mmx.core.errors import ArtifactError, UsageError
from mmx.core.home import Home
from mmx.core.method import Method
from mmx.core.settings import resolve
from mmx.core.tower import Tower, TowerUse
from mmx.encoders.batch_norm import freeze
from mmx.store.manifest import Manifest
from mmx.store.run import RunFolder
from mmx.workflows.assemble import Assembly, load_trainable
from mmx.workflows.fitted import FittedMethod
from mmx.workflows.head_run import is_head


@dataclass(frozen=True)
class OpenedRun:
    """A trained run with everything needed to use it again."""

    folder: RunFolder
    fitted: FittedMethod
    model: nn.Module
    fingerprint: str
    """Of the weights that the model has."""
    towers: Mapping[str, Tower]
    home: Home
    dataset: str

    @property
    def method(self) -> Method:
        """The method that was trained, with the task that it was trained for first."""
        return self.fitted.method

    @property
    def uses(self) -> Mapping[str, TowerUse]:
        """The towers by name, as the method asks for them."""
        return self.method.towers(self.fitted.settings)

    @cached_property
    def assembly(self) -> Assembly:
        """The run over its dataset, which is opened when it is first asked for: photos are searched without.

        Raises:
            ArtifactError: when the dataset is not prepared.
        """
        return self.over(Manifest.open(self.home.dataset(self.dataset)), self.uses)

    def over(self, manifest: Manifest, uses: Mapping[str, TowerUse]) -> Assembly:
        """The run over a corpus, its own or another one, whose towers are read as `uses` say."""
        facts = self.folder.facts["towers"]
        return Assembly(self.home, manifest, uses, self.towers, facts, self.fitted)

    def precision(self, device: torch.device) -> str:
        """What to compute in: what was trained and selected in full precision is measured in it."""
        trained = self.folder.facts.get("precision")
        return trained if trained == "fp32" else default_precision(device)


def open_run(path: Path, home: Home, device: torch.device, dataset: str | None = None) -> OpenedRun:
    """A run with its weights, over its own corpus or over another one.

    Raises:
        ArtifactError: when the run or its towers' weights are not there, or do not fit.
    """
    folder = RunFolder.open(path)
    fitted, towers = rebuild(folder)
    model = fitted.build(towers)
    fingerprint = _load_weights(folder, model)
    for tower in towers.values():
        if tower.module is not None:
            freeze(tower.module)
    model = model.to(device).eval()
    dataset = dataset or folder.facts["dataset"]
    return OpenedRun(folder, fitted, model, fingerprint, towers, home, dataset)


def method_of(folder: RunFolder) -> tuple[Method, Any]:
    """The method and settings that a run was made with.

    Raises:
        UsageError: when it is a few-shot classifier, which is neither trained nor assembled.
        ArtifactError: when this mmx has them no longer.
    """
    name = folder.facts["method"]
    if is_head(folder):
        raise UsageError(
            f"'{folder.path}' labels photos, and does not match pictures and words. Label some with it: mmx "
            f"predict {folder.path.name} PHOTO. See what else there is: mmx runs"
        )
    try:
        method = find_method(name)
        settings, _ = resolve(
            method.settings, [("run", folder.facts["settings"])], f"mmx train {name} --settings"
        )
    except UsageError as error:
        raise ArtifactError(
            f"'{folder.path}' was made with what this mmx does not have: {error} "
            "Train again, or use the mmx that made it."
        ) from error
    if isinstance(method, Classifier):
        raise ArtifactError(
            f"'{folder.path}' is not whole: it says that it was made by '{name}', and holds no classifier. "
            "Train again."
        )
    return method, settings


def rebuild(folder: RunFolder) -> tuple[FittedMethod, dict[str, Tower]]:
    """The method with settings and assets, and the empty towers, that a run was made with.

    Raises:
        ArtifactError: when this mmx has them no longer, or a trained tower began with other weights.
    """
    method, settings = method_of(folder)
    towers, uses = {}, method.towers(settings)
    for key, fact in folder.facts["towers"].items():
        module = load_trainable(uses[key]) if fact["trainable"] else None
        if module is not None and module.fingerprint != fact["fingerprint"]:
            raise ArtifactError(
                f"'{folder.path}' began with the {key} encoder '{fact['encoder']}', fingerprint "
                f"'{fact['fingerprint']}'; here it has '{module.fingerprint}'. Bring those weights back, "
                "or train again."
            )
        towers[key] = Tower(width=fact["width"], module=module)
    assets = folder.assets()
    return FittedMethod(method.with_task(settings, assets), settings, assets), towers


def _load_weights(folder: RunFolder, model: nn.Module) -> str:
    """Fill a model; the fingerprint of just these weights, though a training may be writing better ones."""
    for _ in range(2):
        before = folder.fingerprint
        folder.load_weights(model)
        if folder.fingerprint == before:
            return before
    raise ArtifactError(f"the weights of '{folder.path}' change while they are read. Try again in a moment.")
