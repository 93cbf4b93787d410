"""What is evaluated: one split embedded by a trained run, or by a pretrained pair of towers."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch.nn.functional import normalize

from mmx.core.errors import ArtifactError, DataError, MissingExtraError, UsageError
from mmx.core.home import Home
from mmx.core.record import Record, have_identities
from mmx.core.reporter import Reporter
from mmx.core.tower import MODALITIES, TowerUse
from mmx.encoders.load import load_encoder
from mmx.encoders.names import encoder_slug, resolve_name
from mmx.engine.evaluator import Embeddings, embed_split, embed_texts
from mmx.engine.second_stage import active
from mmx.engine.split_data import FeatureImages, FeatureTexts, JoinedTexts, NumberTexts, SplitData
from mmx.store.features import FeatureStore
from mmx.store.manifest import Manifest
from mmx.store.run import RunFolder
from mmx.tasks.label_completion import completed_labels, near_captions
from mmx.tasks.recall import DIRECTIONS, Ranks
from mmx.tasks.rerank import FirstStage
from mmx.workflows.assemble import Assembly
from mmx.workflows.frozen_features import MADE_ELSEWHERE, ensure_features, modality_of, open_features
from mmx.workflows.import_features import import_name
from mmx.workflows.opened_run import OpenedRun, open_run
from mmx.workflows.rank_files import RankTable
from mmx.workflows.retrieval_task import retrieval_of


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
    weight: float | None = None
    """Of the second stage, as it was trained; None where the method has none."""
    completed: Embeddings | None = None
    """The same with the captions' labels completed, where that was asked for."""

    @property
    def records(self) -> Sequence[Record]:
        """The records of the split."""
        return self.manifest.split(self.split)

    @cached_property
    def first(self) -> FirstStage:
        """The first stage, ranked.

        Raises:
            DataError: when no query has a right answer.
        """
        found = self.embeddings
        groups = found.image_group, found.text_group
        first = FirstStage.of(found.image, found.text, *groups, have_identities(self.records))
        _check_answered(first.ranks, self.manifest.name, self.split)
        return first

    def table(self, ranks: Ranks, second_stage: str) -> RankTable:
        """Ranks of all queries, with what they were measured of and on."""
        found = self.embeddings
        about = (self.fingerprint, self.manifest.name, self.manifest.fingerprint, self.split)
        return RankTable(ranks, found.image_group, found.text_group, *about, second_stage)


def embed_run(
    folder: RunFolder,
    manifest: Manifest,
    split: str,
    home: Home,
    device: torch.device,
    batch_size: int,
    reporter: Reporter,
    both_stages: bool = False,
    complete_labels: bool = False,
) -> Embedded:
    """One split of a corpus, the run's own or another one, embedded by a trained run; with `both_stages` what
    its second stage needs is kept too, where it has one that has a say; with `complete_labels` the captions
    are embedded once more, as naming what those near them name too.

    Raises:
        UsageError: when the split is empty, or the method does not match pictures and words.
        ArtifactError: when weights or features are not there, or are not those the run was trained on.
    """
    manifest.split(split)
    opened = open_run(folder.path, home, device, manifest.name)
    task = retrieval_of(opened.method, folder.path)
    assembly = read_by_run(opened, manifest, split, device, reporter)
    precision = opened.precision(device)
    data, chosen = assembly.data(split), (device, batch_size, precision, reporter)
    second = active(task.rerank, opened.model) if both_stages else None
    embeddings = embed_split(opened.model, task.encode_image, task.encode_text, data, *chosen, second)
    completed = None
    if complete_labels:
        more = _labels_completed(task.labels, opened, data, embeddings)
        text = embed_texts(opened.model, task.encode_text, more, *chosen)
        completed = dataclasses.replace(embeddings, text=text, second=None)
    weight = None if task.rerank is None else float(task.rerank.weight(opened.model))
    encoders = {modality: fact["encoder"] for modality, fact in folder.facts["towers"].items()}
    name, method = str(folder.path), folder.facts["method"]
    about = (name, opened.fingerprint, method, encoders, manifest, split, precision)
    return Embedded(*about, embeddings, weight, completed)


def _labels_completed(field: str, opened: OpenedRun, data: SplitData, embeddings: Embeddings) -> SplitData:
    """The split with each caption naming what those near it name too.

    Raises:
        UsageError: when the model does not ask what a caption names.
    """
    labels = opened.fitted.caption_ids(data.records).get(field) if field else None
    if labels is None:
        raise UsageError(
            f"'{opened.folder.path}' does not ask what a caption names: there is nothing to complete. "
            "Leave out --transductive-label-completion."
        )
    completed = completed_labels(labels, near_captions(embeddings.image, embeddings.text))
    return dataclasses.replace(data, texts=JoinedTexts([data.texts, NumberTexts({field: completed})]))


def read_by_run(
    opened: OpenedRun, manifest: Manifest, split: str, device: torch.device, reporter: Reporter
) -> Assembly:
    """What reads one split of a corpus, the run's own or another one, as the run does; missing features are
    extracted first.

    Raises:
        UsageError: when the corpus has no such split.
        ArtifactError: when the weights that extract are not there.
    """
    # Only training mirrors a picture, so that features without the mirrored twin do.
    uses = {key: dataclasses.replace(use, augment="none") for key, use in opened.uses.items()}
    ensure_features(opened.home, manifest, uses, device.type, reporter, [split])
    return opened.over(manifest, uses)


def embed_model(
    name: str,
    manifest: Manifest,
    split: str,
    home: Home,
    device: torch.device,
    reporter: Reporter,
    fingerprint: str | None = None,
) -> Embedded:
    """One split as a pretrained pair of towers embeds it, from features that are extracted if nobody has yet.

    `fingerprint` is that of the pair where it is loaded already; else it is looked at here.

    Raises:
        UsageError: when the split is empty or the name is unknown.
        ArtifactError: when weights are out of reach, the towers share no space, or features are of other
            weights.
        DataError: when there is nothing to match.
    """
    records = manifest.split(split)
    uses = {
        modality: TowerUse(stored_name(name, modality, manifest, home), False, (f"{modality}_embedding",))
        for modality in MODALITIES
    }
    wanted = fingerprint.split("+") if fingerprint else [_at_hand(use, reporter) for use in uses.values()]
    ensure_features(home, manifest, uses, device.type, reporter, [split])
    image_store, text_store = (
        open_features(home, manifest, uses[modality], split) for modality in MODALITIES
    )
    for store, expected in zip((image_store, text_store), wanted, strict=True):
        _check_weights(store, expected, manifest, split)
    groups = SplitData(records, FeatureImages(image_store, ()), FeatureTexts(text_store, ()))
    with_picture = [row for row, record in enumerate(records) if record.image is not None]
    rows, captions = torch.tensor(with_picture, dtype=torch.int64), torch.arange(len(groups.text_group))
    if not len(rows) or not len(captions):
        raise DataError(
            f"nothing can be matched: '{split}' has {len(rows)} pictures and {len(captions)} captions. "
            "Name another split, or prepare the dataset with both."
        )
    image = normalize(image_store.read("image_embedding", rows), dim=-1)
    text = normalize(text_store.read("text_embedding", captions), dim=-1)
    if image.shape[1] != text.shape[1]:
        raise ArtifactError(
            f"the towers of '{name}' share no space: image_embedding is {image.shape[1]} wide, "
            f"text_embedding {text.shape[1]}. Train a matcher on them, or name a pair such as clip-vit-b32."
        )
    embeddings = Embeddings(image, text, groups.image_group[rows], groups.text_group, rows)
    fingerprint = f"{image_store.fingerprint}+{text_store.fingerprint}"
    encoders = {"image": image_store.encoder, "text": text_store.encoder}
    return Embedded(name, fingerprint, None, encoders, manifest, split, "fp32", embeddings)


def stored_name(name: str, modality: str, manifest: Manifest, home: Home) -> str:
    """The encoder's name in full; that of vectors made elsewhere where some were taken in under this name."""
    taken_in = import_name(name, modality)
    there = home.features(manifest.name, encoder_slug(taken_in, modality)).is_dir()
    return taken_in if there else resolve_name(name, modality)


def _at_hand(use: TowerUse, reporter: Reporter) -> str | None:
    """The fingerprint of a tower's weights; None where they are out of reach, as for vectors made elsewhere.

    Raises:
        ArtifactError: when the tower has no vectors in a shared space.
    """
    if use.encoder.startswith(MADE_ELSEWHERE):
        return None
    try:
        encoder = load_encoder(use.encoder, modality_of(use))
    except (ArtifactError, MissingExtraError):
        reporter.info(f"the weights of '{use.encoder}' are not at hand: its features are taken on trust")
        return None
    if encoder.embedding_width is None:
        raise ArtifactError(
            f"'{use.encoder}' has no {use.features[0]}, since it shares no space with another tower. "
            "Train a matcher on it, or name a pair such as clip-vit-b32."
        )
    return encoder.fingerprint


def _check_weights(store: FeatureStore, wanted: str | None, manifest: Manifest, split: str) -> None:
    if wanted not in (None, store.fingerprint):
        raise ArtifactError(
            f"the {store.modality} features of '{store.encoder}' over '{manifest.name}' {split} were made by "
            f"weights with fingerprint '{store.fingerprint}', but those at hand have '{wanted}'. "
            f"Extract again: mmx extract {manifest.name} --encoder {store.encoder} --split {split} "
            "--overwrite; or, if they were made elsewhere, take them in under a name of their own."
        )


def _check_answered(places: Ranks, dataset: str, split: str) -> None:
    for direction in DIRECTIONS:
        if not len(places.answered(direction)):
            raise DataError(
                f"no {direction} query of '{dataset}' {split} has a right answer: no picture has a caption. "
                "Prepare the dataset with captions."
            )
