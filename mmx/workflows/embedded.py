"""What is evaluated: one split embedded by a trained run, or by a pretrained pair of towers."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch.nn.functional import normalize

from mmx.core.device import default_precision
from mmx.core.errors import ArtifactError, DataError, UsageError
from mmx.core.home import Home
from mmx.core.record import Record
from mmx.core.reporter import Reporter
from mmx.core.task import Retrieval
from mmx.core.tower import MODALITIES, TowerUse
from mmx.encoders.load import encoder_slug, resolve_name
from mmx.engine.evaluator import Embeddings, embed_split
from mmx.engine.split_data import FeatureImages, FeatureTexts, SplitData
from mmx.store.manifest import Manifest
from mmx.store.run import RunFolder
from mmx.tasks.recall import DIRECTIONS, Ranks, ranks
from mmx.workflows.assemble import ensure_features, open_features, open_run
from mmx.workflows.import_features import import_name
from mmx.workflows.rank_files import RankTable


@dataclass(frozen=True)
class Embedded:
    """One split in the shared space, with what it came from."""

    name: str
    """The run's folder, or the model's name."""
    fingerprint: str
    """Of the weights."""
    method: str | None
    encoders: dict[str, str]
    manifest: Manifest
    split: str
    precision: str
    embeddings: Embeddings

    @property
    def records(self) -> Sequence[Record]:
        """The records of the split."""
        return self.manifest.split(self.split)

    def table(self) -> RankTable:
        """The ranks of all queries.

        Raises:
            DataError: when no query has a right answer.
        """
        found = self.embeddings
        places = ranks(found.image, found.text, found.image_group, found.text_group)
        _check_answered(places, self.manifest.name, self.split)
        about = (self.fingerprint, self.manifest.name, self.manifest.fingerprint, self.split)
        return RankTable(places, found.image_group, found.text_group, *about)


def embed_run(
    folder: RunFolder,
    manifest: Manifest,
    split: str,
    home: Home,
    device: torch.device,
    batch_size: int,
    reporter: Reporter,
) -> Embedded:
    """One split of a corpus, the run's own or another one, embedded by a trained run.

    Raises:
        UsageError: when the split is empty, or the method does not match pictures and words.
        ArtifactError: when weights or features are not there, or are not those the run was trained on.
    """
    manifest.split(split)
    opened = open_run(folder.path, home, device, manifest.name)
    task = next((task for task in opened.method.tasks if isinstance(task, Retrieval)), None)
    if task is None:
        raise UsageError(f"'{folder.path}' does not match pictures and words. See what there is: mmx runs")
    # Evaluation never mirrors a picture, so that features without the mirrored twin do.
    uses = {
        modality: dataclasses.replace(use, augment="none") for modality, use in opened.assembly.uses.items()
    }
    ensure_features(home, manifest, uses, device.type, reporter)
    assembly = dataclasses.replace(opened.assembly, uses=uses)
    _check_features(folder, home, manifest, uses, split)
    # What was trained and selected in full precision is measured in it.
    precision = "fp32" if folder.facts.get("precision") == "fp32" else default_precision(device)
    embeddings = embed_split(
        opened.model,
        task.encode_image,
        task.encode_text,
        assembly.data(split),
        device,
        batch_size,
        precision,
        reporter,
    )
    encoders = {modality: fact["encoder"] for modality, fact in folder.facts["towers"].items()}
    name, method = str(folder.path), folder.facts["method"]
    return Embedded(name, folder.fingerprint, method, encoders, manifest, split, precision, embeddings)


def embed_model(
    name: str, manifest: Manifest, split: str, home: Home, device: torch.device, reporter: Reporter
) -> Embedded:
    """One split as a pretrained pair of towers embeds it, from features that are extracted if nobody has yet.

    Raises:
        UsageError: when the split is empty or the name is unknown.
        ArtifactError: when weights are out of reach, or the towers share no space.
        DataError: when there is nothing to match.
    """
    records = manifest.split(split)
    uses = {
        modality: TowerUse(_stored_name(name, modality, manifest, home), False, (f"{modality}_embedding",))
        for modality in MODALITIES
    }
    ensure_features(home, manifest, uses, device.type, reporter)
    image_store, text_store = (
        open_features(home, manifest, uses[modality], split) for modality in MODALITIES
    )
    groups = SplitData(records, FeatureImages(image_store, ()), FeatureTexts(text_store, ()))
    with_picture = [row for row, record in enumerate(records) if record.image is not None]
    rows, captions = torch.tensor(with_picture, dtype=torch.int64), torch.arange(len(groups.text_group))
    if not len(rows) or not len(captions):
        raise DataError(
            f"nothing can be matched: '{split}' has {len(rows)} pictures and {len(captions)} captions."
        )
    image = normalize(image_store.read_images("image_embedding", rows), dim=-1)
    text = normalize(text_store.read_texts("text_embedding", captions), dim=-1)
    if image.shape[1] != text.shape[1]:
        raise ArtifactError(
            f"the towers of '{name}' share no space: image_embedding is {image.shape[1]} wide, "
            f"text_embedding {text.shape[1]}. Train a matcher on them, or name a pair such as clip-vit-b32."
        )
    embeddings = Embeddings(image, text, groups.image_group[rows], groups.text_group, rows)
    fingerprint = f"{image_store.fingerprint}+{text_store.fingerprint}"
    encoders = {"image": image_store.encoder, "text": text_store.encoder}
    return Embedded(name, fingerprint, None, encoders, manifest, split, "fp32", embeddings)


def _stored_name(name: str, modality: str, manifest: Manifest, home: Home) -> str:
    """The encoder's name in full; that of vectors made elsewhere where some were taken in under this name."""
    taken_in = import_name(name, modality)
    there = home.features(manifest.name, encoder_slug(taken_in, modality)).is_dir()
    return taken_in if there else resolve_name(name, modality)


def _check_features(
    folder: RunFolder, home: Home, manifest: Manifest, uses: Mapping[str, TowerUse], split: str
) -> None:
    """Frozen towers must be read through the very encoder that the run was trained with."""
    for modality, use in uses.items():
        trained_on = folder.facts["towers"][modality]["fingerprint"]
        found = None if use.trainable else open_features(home, manifest, use, split).fingerprint
        if found not in (None, trained_on):
            raise ArtifactError(
                f"'{folder.path}' was trained on features of '{use.encoder}' with fingerprint "
                f"'{trained_on}', but those of '{manifest.name}' have '{found}'. "
                "Bring back those weights and extract again: "
                f"mmx extract {manifest.name} --encoder {use.encoder} --overwrite"
            )


def _check_answered(places: Ranks, dataset: str, split: str) -> None:
    for direction in DIRECTIONS:
        if not len(places.answered(direction)):
            raise DataError(
                f"no {direction} query of '{dataset}' {split} has a right answer: no picture has a caption. "
                "Prepare the dataset with captions."
            )
