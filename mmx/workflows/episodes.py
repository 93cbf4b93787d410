"""What few-shot classifiers are shown: the classes of a dataset, their shots, features and texts."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from mmx.core.classifier import Episode
from mmx.core.errors import ArtifactError, DataError, UsageError
from mmx.core.names import did_you_mean
from mmx.core.paths import expanded
from mmx.core.present import present
from mmx.core.reporter import Reporter
from mmx.store.manifest import CORPUS_FILE, Manifest, prepared_in
from mmx.workflows.class_texts import (
    FoundTexts,
    encoded_texts,
    named_texts,
    plain_name,
    prompts_of,
    read_named,
)
from mmx.workflows.fewshot_settings import FewshotSettings
from mmx.workflows.shot_features import ShotFeatures, open_shot_features
from mmx.workflows.shots import MOST_VAL, Drawn, ShotSource

MOST_NAMED = 5


@dataclass(frozen=True)
class Shown:
    """All that an episode is made of."""

    source: ShotSource
    features: ShotFeatures
    texts: FoundTexts

    def episode(self, drawn: Drawn, seed: int) -> Episode:
        """What the classifiers see: of the reported split there is nothing in it."""
        features = [self.features.read(places) for places in (drawn.train, drawn.val)]
        labels = [
            torch.tensor(self.source.classes(places), dtype=torch.int64)
            for places in (drawn.train, drawn.val)
        ]
        count = len(self.source.class_names)
        return Episode(features[0], labels[0], features[1], labels[1], count, self.texts.texts, seed)

    def reported(self, split: str, drawn: Drawn) -> tuple[Tensor, Tensor]:
        """Features [N, F] and classes [N] of the split that is reported, without validation shots.

        Raises:
            DataError: when none is left.
        """
        used = set(drawn.val)
        places = [place for place in self.source.places(split) if place not in used]
        if not places:
            raise DataError(
                f"'{self.source.manifest.name}' {split} has no picture left to report on. Name another "
                "split: --split"
            )
        return self.features.read(places), torch.tensor(self.source.classes(places))


def open_labelled(settings: FewshotSettings) -> Manifest:
    """The dataset, which has classes, shots to learn from and the split that is reported.

    Raises:
        ArtifactError: when it is not prepared.
        UsageError: when it lacks the split.
        DataError: when it has no classes, or one without a name.
    """
    place = settings.home.dataset(settings.dataset)
    if not (place / CORPUS_FILE).is_file():
        folder = expanded(settings.dataset)
        there = prepared_in(place.parent)
        raw, name = (folder, "NAME") if folder.is_dir() else ("FOLDER", place.name)
        listed = f" Prepared are: {', '.join(there)}." if there else ""
        raise ArtifactError(
            f"'{settings.dataset}' is not prepared.{did_you_mean(place.name, there)}{listed} Give the "
            "photos, in a folder a class or with their published lists, a name once: "
            f"mmx prepare {name} --raw {raw}. Then: mmx fewshot {name}"
        )
    manifest = Manifest.open(place)
    manifest.split(settings.split)
    names = manifest.class_names
    if not names or all(record.label is None for record in manifest.split("train")):
        raise DataError(
            f"'{manifest.name}' has no classes. Prepare it with labels: a folder a class, or a column label."
        )
    empty = next((label for label, name in enumerate(names) if not name.strip()), None)
    if empty is not None:
        raise DataError(
            f"the name of class {empty} of '{manifest.name}' is empty. Name it and prepare again."
        )
    return manifest


def show(settings: FewshotSettings, manifest: Manifest, device: torch.device, reporter: Reporter) -> Shown:
    """The classes, the pictures' features, and what stands for classes in words.

    Raises:
        UsageError: when fewer than two classes are left, or words do not fit.
        ArtifactError, DataError: when features or text vectors are not to be had.
    """
    names = manifest.class_names
    known = None if settings.class_texts is None else read_named(settings.class_texts, settings.text_names)
    kept = list(range(len(names)))
    if settings.only_named:
        kept = [label for label in kept if plain_name(names[label]).lower() in present(known)]
    if len(kept) < 2:
        raise UsageError(f"{len(kept)} classes of '{manifest.name}' are left. It takes two to tell apart.")
    class_names = tuple(names[label] for label in kept)
    labels = {label: place for place, label in enumerate(kept)}
    source = ShotSource(manifest, labels, class_names, settings.index)
    splits = [split for split in manifest.splits if split in {"train", "val", settings.split}]
    features = open_shot_features(settings.home, manifest, settings.encoder, splits, device.type, reporter)
    if known is not None:
        place = present(settings.class_texts)
        return Shown(source, features, named_texts(known, class_names, features.width, place))
    prompts = prompts_of(manifest.name, settings.prompts)
    texts = encoded_texts(features.text_encoder, features.field, class_names, prompts, device)
    return Shown(source, features, texts)


def fingerprint(episode: Episode) -> str:
    """16 hexadecimal digits that change with anything a classifier is shown."""
    texts = episode.texts
    digest = hashlib.sha256(repr((episode.classes, episode.seed, texts and texts.words)).encode())
    tensors = [episode.features, episode.labels, episode.val_features, episode.val_labels]
    for tensor in [*tensors, *([texts.features, texts.labels] if texts is not None else [])]:
        digest.update(repr(tuple(tensor.shape)).encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def remarks_on(drawn: Mapping[tuple[int, int], Drawn]) -> list[str]:
    """What is to be known of drawn (shots, seed): classes that have fewer, validation shots that lack."""
    said = []
    for shots, found in {shots: found for (shots, _), found in drawn.items()}.items():
        if found.short:
            fewest = min(found.short, key=lambda name: found.short[name])
            said.append(
                f"{len(found.short)} classes have fewer than {shots} training pictures and give all they "
                f"have (the fewest: '{fewest}' with {found.short[fewest]})"
            )
        if not found.val:
            said.append(f"there are no validation pictures for {shots} shots: nothing can be chosen on them")
        elif found.short_val:
            said.append(
                f"{found.short_val} classes have fewer than {min(shots, MOST_VAL)} validation pictures for "
                f"{shots} shots: choices hang on {len(found.val)}"
            )
    bare = next((found.without_val for found in drawn.values() if found.val and found.without_val), ())
    if bare:
        listed = ", ".join(f"'{name}'" for name in bare[:MOST_NAMED])
        count = "1 class has" if len(bare) == 1 else f"{len(bare)} classes have"
        more = ", ..." if len(bare) > MOST_NAMED else ""
        said.append(
            f"{count} no validation picture ({listed}{more}): nothing asks after them, and "
            "which classifier is kept means little. Add pictures of them to val; where mmx draws the splits: "
            "mmx prepare NAME --raw FOLDER --set shares=60/20/20"
        )
    return said
