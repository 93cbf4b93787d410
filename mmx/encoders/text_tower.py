"""TextTower: any pretrained text network behind one face.

Shapes: C captions, L tokens, F width, D width of the space shared with an image encoder.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor, nn
from torch.nn import functional

from mmx.core.caption_words import CaptionWords
from mmx.core.errors import UsageError
from mmx.encoders.blocks import blocks_of
from mmx.encoders.fingerprint import fingerprint

ReadTokens = Callable[[nn.Module, Tensor, Tensor], dict[str, Tensor]]
"""(network, token_ids [C, L], token_mask [C, L]) -> the fields of `TextTower.forward`."""
Project = Callable[[nn.Module, Tensor], Tensor]
"""(network, token_features [C, L, F]) -> [C, L, D]: each token by itself into the shared space."""


class Tokenizer(Protocol):
    """Words to numbers."""

    identity: str
    """Changes with the vocabulary."""
    sign_ids: frozenset[int]
    """Tokens that no person wrote."""
    mask_id: int
    """What stands for a hidden word."""

    def __call__(self, captions: Sequence[str]) -> list[list[int]]:
        """Token ids of each caption, special tokens included, cut at the encoder's limit, not padded."""

    def words(self, captions: Sequence[str]) -> list[CaptionWords]:
        """The words that these tokens are pieces of."""

    def tokenize_words(self, posts: Sequence[Sequence[str]]) -> tuple[list[list[int]], list[list[int]]]:
        """Token ids of posts that are cut into words already, and the place among them of the first piece of
        each word; -1 for words that are cut off.
        """

    def save(self, file: Path) -> dict[str, Any]:
        """Write it for other programs, and tell how a caption is prepared for it."""


class TextTower(nn.Module):
    """A pretrained text network; fulfils `core.encoder.TextEncoder`."""

    modality = "text"

    def __init__(
        self,
        name: str,
        network: nn.Module,
        read: ReadTokens,
        tokenizer: Tokenizer,
        width: int,
        embedding_width: int | None = None,
        pad_id: int = 0,
        project: Project | None = None,
    ) -> None:
        super().__init__()
        self.name, self.width, self.embedding_width = name, width, embedding_width
        self.network = network
        self._read, self._project = read, project
        self._tokenizer, self._pad_id = tokenizer, pad_id
        self.sign_ids, self.mask_id = tokenizer.sign_ids, tokenizer.mask_id
        kind = f"{type(network).__name__} {read.__name__} {pad_id} {tokenizer.identity}"
        self.fingerprint = fingerprint(kind, network)
        self.eval()

    def tokenize(self, captions: Sequence[str]) -> list[list[int]]:
        """Token ids of each caption, special tokens included, cut at the encoder's limit, not padded."""
        return self._tokenizer(captions) if captions else []

    def words(self, captions: Sequence[str]) -> list[CaptionWords]:
        """The words that the tokens of each caption are pieces of."""
        return self._tokenizer.words(captions) if captions else []

    def tokenize_words(self, posts: Sequence[Sequence[str]]) -> tuple[list[list[int]], list[list[int]]]:
        """Token ids of posts that are cut into words already, and the place among them of the first piece of
        each word; -1 for words that are cut off.

        Raises:
            UsageError: when the tokenizer does not say where its pieces lie.
        """
        return self._tokenizer.tokenize_words(posts) if posts else ([], [])

    def forward(self, token_ids: Tensor, token_mask: Tensor, project: bool = False) -> dict[str, Tensor]:
        """[C, L] int64, [C, L] bool -> text_features [C, F], token_features [C, L, F] (and text_embedding
        [C, D]; with `project` token_embedding [C, L, D], unit length).
        """
        read = self._read(self.network, token_ids.masked_fill(~token_mask, self._pad_id), token_mask)
        if not project:
            return read
        if self._project is None:
            raise ValueError(f"'{self.name}' shares no space with an image encoder to project into")
        tokens = functional.normalize(self._project(self.network, read["token_features"]), dim=-1)
        return {**read, "token_embedding": tokens}

    @property
    def vocabulary(self) -> int:
        """How many tokens there are."""
        return self.network.get_input_embeddings().num_embeddings

    def blocks(self) -> list[list[str]]:
        """Prefixes of parameter names, one list a block, from input to output."""
        return blocks_of(self)


def save_tokenizer(encoder: nn.Module, file: Path) -> dict[str, Any]:
    """Write the tokenizer of a text encoder for other programs, and tell how a caption is prepared for it.

    Raises:
        UsageError: when it cannot be written.
    """
    if not isinstance(encoder, TextTower):
        raise UsageError(
            f"'{encoder.name}' is of another package, and its tokenizer is not known here. Name one of mmx's."
        )
    return encoder._tokenizer.save(file)
