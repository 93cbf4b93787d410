"""Two ways from captions to token ids: a model's own tokenizer, and the word hash of the random twins."""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from transformers import AutoTokenizer

CLASS_ID, HASH_PAD_ID, FIRST_WORD_ID = 1, 0, 2
LONGEST_CAPTION = 20_000
"""Characters read of a caption; far beyond the token limit of every encoder, and a guard against monsters."""


class ModelTokenizer:
    """The tokenizer that lies in a folder beside a model's weights."""

    def __init__(self, folder: Path, limit: int, lower: bool = False) -> None:
        self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
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
