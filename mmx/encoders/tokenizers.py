"""Two ways from captions to token ids: a model's own tokenizer, and the word hash of the random twins."""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from mmx.core.errors import ArtifactError
from mmx.encoders.said import read_said

CLASS_ID, HASH_PAD_ID, FIRST_WORD_ID = 1, 0, 2
LONGEST_CAPTION = 20_000
"""Characters read of a caption; far beyond the token limit of every encoder, and a guard against monsters."""
VOCABULARIES = (
    ("tokenizer.json",),
    ("vocab.txt",),
    ("vocab.json", "merges.txt"),
    ("spiece.model",),
    ("sentencepiece.bpe.model",),
    ("tokenizer.model",),
)
"""The files any one row of which makes a tokenizer."""
PLAIN_WORDS = "a man and a dog in the water"


def has_tokenizer(folder: Path) -> bool:
    """Whether a vocabulary lies in a folder."""
    return any(all((folder / name).is_file() for name in names) for names in VOCABULARIES)


class ModelTokenizer:
    """The tokenizer that lies in a folder beside a model's weights."""

    def __init__(self, folder: Path, limit: int, lower: bool = False) -> None:
        """Read the tokenizer.

        Raises:
            ArtifactError: when it is absent or broken, or knows no word.
        """
        self._tokenizer = _read_tokenizer(folder)
        self._limit, self._lower = limit, lower
        vocabulary = sorted(self._tokenizer.get_vocab().items())
        digest = hashlib.blake2b(repr(vocabulary).encode(), digest_size=8).hexdigest()
        self.identity = f"{type(self._tokenizer).__name__} {limit} {lower} {digest}"
        self.pad_id = self._tokenizer.pad_token_id or 0

    def __call__(self, captions: Sequence[str]) -> list[list[int]]:
        """Token ids of each caption, special tokens included, cut at the limit, not padded."""
        texts = [caption[:LONGEST_CAPTION] for caption in captions]
        texts = [text.lower() for text in texts] if self._lower else texts
        return self._tokenizer(texts, truncation=True, max_length=self._limit)["input_ids"]


class WordHash:
    """A vocabulary without a file: each word is a number by its hash. The end token is the highest id."""

    def __init__(self, size: int, limit: int) -> None:
        self._size, self._limit = size, limit
        self.end_id = size - 1
        self.identity = f"WordHash {size} {limit}"

    def __call__(self, captions: Sequence[str]) -> list[list[int]]:
        """Token ids of each caption, special tokens included, cut at the limit, not padded."""
        return [self._ids(caption[:LONGEST_CAPTION]) for caption in captions]

    def _ids(self, caption: str) -> list[int]:
        words = re.findall(r"\w+|[^\w\s]", caption.lower())[: self._limit - 2]
        return [CLASS_ID, *[self._word_id(word) for word in words], self.end_id]

    def _word_id(self, word: str) -> int:
        digest = hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=4).digest()
        return FIRST_WORD_ID + int.from_bytes(digest, "big") % (self._size - FIRST_WORD_ID - 1)


def _read_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    if not has_tokenizer(folder):
        # transformers would make one without a vocabulary, to which every word is unknown
        wanted = ", ".join(" with ".join(names) for names in VOCABULARIES)
        raise ArtifactError(
            f"'{folder}' holds no tokenizer: one of {wanted} is missing. Save the model's tokenizer there."
        )
    read_said(folder / "tokenizer.json")
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ArtifactError(
            f"the tokenizer in '{folder}' cannot be read: {reason}. Fetch the folder again."
        ) from error
    known = set(tokenizer(PLAIN_WORDS)["input_ids"]) - set(tokenizer.all_special_ids)
    if not known:
        raise ArtifactError(
            f"the tokenizer in '{folder}' knows not one word of '{PLAIN_WORDS}'. Save the model's own there."
        )
    return tokenizer
