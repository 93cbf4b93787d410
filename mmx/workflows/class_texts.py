"""Class texts: sentences made of class names and seen by a text tower, or vectors made elsewhere."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import normalize

from mmx.core.classifier import ANY_TEXTS, NO_TEXTS, ClassTexts
from mmx.core.discover import find_corpus, names
from mmx.core.errors import ArtifactError, MissingExtraError, UsageError
from mmx.encoders.batch_norm import freeze
from mmx.encoders.load import load_encoder, modalities_of
from mmx.engine.text_batches import pad_tokens
from mmx.store.foreign import read_array, read_id_table
from mmx.workflows.frozen_features import MADE_ELSEWHERE

PLAIN_PROMPT = "a photo of a {}."
BATCH = 256
NAME_COLUMNS = ("class", "classname", "class_name", "name", "label", "id")


@dataclass(frozen=True)
class FoundTexts:
    """The class texts that can be had, and why there are no others."""

    texts: ClassTexts | None
    said: str
    """What was used, or why there is nothing, as a sentence without its full stop."""
    prompts: tuple[str, ...] = ()

    def lacks(self, needed: str) -> str | None:
        """Why what a classifier needs cannot be had; None when it can."""
        if needed == NO_TEXTS or (self.texts is not None and (needed == ANY_TEXTS or self.texts.shared)):
            return None
        if self.texts is None:
            return f"no class texts: {self.said}"
        return "class texts in the space of the pictures are needed, and these towers share none"


def plain_name(name: str) -> str:
    """A class's name as it is spoken: `great_pyrenees` as `great pyrenees`."""
    return " ".join(name.replace("_", " ").split())


def prompts_of(dataset: str, given: Sequence[str]) -> tuple[str, ...]:
    """The sentences asked for, else those of a known dataset, else `a photo of a {}.`

    Raises:
        UsageError: when one has no place for the class.
    """
    wrong = next((prompt for prompt in given if "{}" not in prompt), None)
    if wrong is not None:
        raise UsageError(f"'{wrong}' has no place for the class. Write {{}} there: --prompt '{PLAIN_PROMPT}'")
    known = find_corpus(dataset).prompts if dataset in names("mmx.corpora") else ()
    return tuple(given) or known or (PLAIN_PROMPT,)


def encoded_texts(
    encoder: str, field: str, class_names: Sequence[str], prompts: Sequence[str], device: torch.device
) -> FoundTexts:
    """Each prompt with each class's name, as the text tower of an encoder sees it.

    Args:
        encoder: its name as it was typed, or in full.
        field: of the pictures; `image_embedding` is of a space that the texts may share.
        class_names: label 0 first.
        prompts: with {} in the place of the class.
        device: to encode on.
    """
    if encoder.startswith(MADE_ELSEWHERE):
        return FoundTexts(None, f"'{encoder}' has vectors of pictures alone and no text tower")
    try:
        if "text" not in modalities_of(encoder):
            return FoundTexts(None, f"'{encoder}' has no text tower")
        tower = freeze(load_encoder(encoder, "text")).to(device)
    except (ArtifactError, MissingExtraError) as error:
        first = str(error).split(". ")[0].removesuffix(".")
        return FoundTexts(None, f"the text tower of '{encoder}' is not at hand ({first})")
    words = [prompt.replace("{}", plain_name(name)) for name in class_names for prompt in prompts]
    shared = field == "image_embedding" and tower.embedding_width is not None
    vectors = _encode(tower, words, "text_embedding" if shared else "text_features", device)
    labels = torch.arange(len(class_names)).repeat_interleave(len(prompts))
    said = f"{len(prompts)} prompts" if len(prompts) > 1 else f"'{prompts[0]}'"
    texts = ClassTexts(normalize(vectors, dim=1), labels, tuple(words), shared)
    return FoundTexts(texts, f"class texts: {said} by '{tower.name}'", tuple(prompts))


@torch.inference_mode()
def _encode(tower: torch.nn.Module, words: Sequence[str], field: str, device: torch.device) -> Tensor:
    vectors = []
    for first in range(0, len(words), BATCH):
        token_ids, token_mask = pad_tokens(tower.tokenize(words[first : first + BATCH]))
        vectors.append(tower(token_ids.to(device), token_mask.to(device))[field].float().cpu())
    return torch.cat(vectors).clone()


def read_named(vectors: Path, names_file: Path | None) -> dict[str, list[tuple[str, Tensor]]]:
    """Class -> (its name in the file, vector [F]) of each of its rows, by the plain name in lower case.

    Raises:
        UsageError: when no file names the rows.
        ArtifactError: when a file is broken, or they have not as many rows as each other.
    """
    if names_file is None:
        raise UsageError(
            "which class each text vector is of is not said. Give --text-names FILE (csv, txt or json)."
        )
    array, table = read_array(vectors, "text"), read_id_table(names_file)
    column = next((name for name in NAME_COLUMNS if name in table), next(iter(table)))
    rows = table[column]
    if len(array) != len(rows) or array.dim() != 2:
        raise ArtifactError(
            f"'{vectors}' holds {list(array.shape)}, but '{names_file}' names {len(rows)} rows. "
            "Give one name a row."
        )
    found: dict[str, list[tuple[str, Tensor]]] = {}
    for name, vector in zip(rows, array.float(), strict=True):
        found.setdefault(plain_name(name).lower(), []).append((name, vector))
    return found


def named_texts(
    known: Mapping[str, Sequence[tuple[str, Tensor]]], class_names: Sequence[str], width: int, source: Path
) -> FoundTexts:
    """The vectors of a file for each class; they share the pictures' space where they are as wide.

    Raises:
        UsageError: when a class has none.
    """
    absent = [name for name in class_names if plain_name(name).lower() not in known]
    if absent:
        raise UsageError(
            f"{len(absent)} of {len(class_names)} classes have no text in '{source}', such as '{absent[0]}'. "
            "Add theirs, or keep to the classes that have one: --only-named"
        )
    rows = [
        (label, *row) for label, name in enumerate(class_names) for row in known[plain_name(name).lower()]
    ]
    vectors = normalize(torch.stack([vector for _, _, vector in rows]), dim=1)
    texts = ClassTexts(
        vectors, torch.tensor([label for label, _, _ in rows]), tuple(word for _, word, _ in rows),
        vectors.shape[1] == width,
    )  # fmt: skip
    return FoundTexts(texts, f"class texts: vectors of '{source.name}'")
