"""Two ways from captions to token ids: a model's own tokenizer, and the word hash of the random twins."""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from transformers import AutoTokenizer, BatchEncoding, PreTrainedTokenizerBase

from mmx.core.caption_words import CaptionWords
from mmx.core.errors import ArtifactError, UsageError, first_line
from mmx.encoders.said import read_said
from mmx.encoders.word_pieces import first_pieces, words_by_marks, words_by_offsets

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
PIECE = re.compile(r"\w+|[^\w\s]")
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
        self.sign_ids = frozenset(self._tokenizer.all_special_ids)
        words = (number for _, number in vocabulary if number not in self.sign_ids)
        # CLIP has no sign for a hidden word; the last of its word pieces hardly ever occurs.
        self.mask_id = self._tokenizer.mask_token_id or max(words)

    def __call__(self, captions: Sequence[str]) -> list[list[int]]:
        """Token ids of each caption, special tokens included, cut at the limit, not padded."""
        return self._encode(self._texts(captions))["input_ids"]

    def words(self, captions: Sequence[str]) -> list[CaptionWords]:
        """The words that the tokens of each caption are pieces of."""
        texts = self._texts(captions)
        encoded = self._encode(texts)
        return [self._words(text, encoded, place) for place, text in enumerate(texts)]

    def tokenize_words(self, posts: Sequence[Sequence[str]]) -> tuple[list[list[int]], list[list[int]]]:
        """Token ids of posts that are cut into words already, and where the pieces of each word begin.

        Raises:
            UsageError: when the tokenizer does not say where its pieces lie.
        """
        if not self._tokenizer.is_fast:
            raise UsageError(
                f"'{type(self._tokenizer).__name__}' does not say which word a token is a piece of, so that "
                "words cannot be tagged. Name another text encoder."
            )
        texts = self._texts([" ".join(words) for words in posts])
        encoded = self._encode(texts)
        starts = []
        for words, encoding in zip(posts, encoded.encodings, strict=True):
            signs = zip(encoding.offsets, encoding.special_tokens_mask, strict=True)
            offsets = [None if sign else span for span, sign in signs]
            starts.append(first_pieces(words, offsets, len(offsets) >= self._limit))
        return encoded["input_ids"], starts

    def save(self, file: Path) -> dict[str, Any]:
        """Write what the library `tokenizers` reads, cut at the limit and not padded; how a caption is
        prepared for it is given back.

        Raises:
            UsageError: when the tokenizer is not one of that library's.
        """
        if not self._tokenizer.is_fast:
            raise UsageError(
                f"'{type(self._tokenizer).__name__}' cannot be written as a tokenizer.json. Name another "
                "text encoder."
            )
        plain = Tokenizer.from_str(self._tokenizer.backend_tokenizer.to_str())
        plain.enable_truncation(self._limit)
        plain.no_padding()
        plain.save(str(file))
        read = {"lowercase": self._lower, "longest": LONGEST_CAPTION, "tokens": self._limit}
        return {"file": file.name, **read}

    def _texts(self, captions: Sequence[str]) -> list[str]:
        texts = [caption[:LONGEST_CAPTION] for caption in captions]
        return [text.lower() for text in texts] if self._lower else texts

    def _encode(self, texts: list[str]) -> BatchEncoding:
        return self._tokenizer(texts, truncation=True, max_length=self._limit)

    def _words(self, text: str, encoded: BatchEncoding, place: int) -> CaptionWords:
        ids, unknown_id = encoded["input_ids"][place], self._tokenizer.unk_token_id
        pieces, unknown = self._tokenizer.convert_ids_to_tokens(ids), [token == unknown_id for token in ids]
        if not encoded.is_fast:
            signs = set(self._tokenizer.all_special_ids) - {unknown_id}
            return words_by_marks(pieces, [token in signs for token in ids], unknown)
        # By place and not by id: CLIP's end token is also the one for what it does not know.
        special = [bool(flag) for flag in encoded.encodings[place].special_tokens_mask]
        unknown = [lacks and not sign for lacks, sign in zip(unknown, special, strict=True)]
        return words_by_offsets(text, pieces, encoded.encodings[place].offsets, special, unknown)


class WordHash:
    """A vocabulary without a file: each word is a number by its hash. The end token is the highest id."""

    def __init__(self, size: int, limit: int) -> None:
        self._size, self._limit = size, limit
        self.end_id = size - 1
        self.identity = f"WordHash {size} {limit}"
        self.sign_ids = frozenset((HASH_PAD_ID, CLASS_ID, self.end_id))
        self.mask_id = self.end_id - 1

    def __call__(self, captions: Sequence[str]) -> list[list[int]]:
        """Token ids of each caption, special tokens included, cut at the limit, not padded."""
        return [
            [CLASS_ID, *[self._word_id(word) for word in self._split(caption)], self.end_id]
            for caption in captions
        ]

    def words(self, captions: Sequence[str]) -> list[CaptionWords]:
        """The words of each caption, one a token, between the signs [CLS] and [SEP]."""
        framed = [("[CLS]", *self._split(caption), "[SEP]") for caption in captions]
        return [
            CaptionWords(words, tuple(range(len(words))), frozenset({0, len(words) - 1})) for words in framed
        ]

    def tokenize_words(self, posts: Sequence[Sequence[str]]) -> tuple[list[list[int]], list[list[int]]]:
        """Token ids of posts that are cut into words already, and where the pieces of each word begin."""
        texts = [" ".join(words) for words in posts]
        starts = []
        for words, text in zip(posts, texts, strict=True):
            found = [piece.span() for piece in PIECE.finditer(text[:LONGEST_CAPTION])]
            offsets = [None, *found[: self._limit - 2], None]
            starts.append(first_pieces(words, offsets, len(offsets) >= self._limit))
        return self(texts), starts

    def save(self, file: Path) -> dict[str, Any]:
        """Refuse: there is no vocabulary to write.

        Raises:
            UsageError: always.
        """
        raise UsageError(
            "a random twin has no vocabulary, so that no tokenizer.json can be written of it. "
            "Name another encoder."
        )

    def _split(self, caption: str) -> list[str]:
        return [piece.lower() for piece in PIECE.findall(caption[:LONGEST_CAPTION])][: self._limit - 2]

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
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError) as error:
        raise ArtifactError(
            f"the tokenizer in '{folder}' cannot be read: {first_line(error)}. Fetch the folder again."
        ) from error
    known = set(tokenizer(PLAIN_WORDS)["input_ids"]) - set(tokenizer.all_special_ids)
    if not known:
        raise ArtifactError(
            f"the tokenizer in '{folder}' knows not one word of '{PLAIN_WORDS}'. Save the model's own there."
        )
    return tokenizer
