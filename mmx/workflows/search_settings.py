"""What a search is asked: the words that it takes, and which of them do not fit together."""

from dataclasses import dataclass, field
from pathlib import Path

from mmx.core.errors import UsageError
from mmx.core.home import Home
from mmx.store.atomic import check_writable

WHERE_TO_SEARCH = "Name a folder of photos (--in DIR) or a prepared dataset (--dataset NAME)."
SHEET_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


@dataclass(frozen=True)
class SearchSettings:
    """What to look for (a sentence or a picture), with what, and where."""

    query: str | None = None
    image: Path | None = None
    captions: bool = False
    """Find captions instead of pictures."""
    run: Path | None = None
    model: str | None = None
    folder: Path | None = None
    """A folder of photos."""
    dataset: str | None = None
    """A prepared corpus; with neither, the run's own."""
    split: str | None = None
    """One split of the corpus; else all of them."""
    top: int = 9
    rerank_top: int | None = None
    """How many of the nearest a second stage looks at again; 0 for none, None for as many as is usual."""
    sheet: Path | None = None
    """Where the contact sheet is written, if anywhere."""
    explain: int = 0
    """How many of the best hits are explained, word by region."""
    evidence: Path = Path("mmx-search-evidence")
    """Where that is written: `-1.png`, .., `.html` and `.json` are added to the name."""
    rebuild: bool = False
    home: Home = field(default_factory=Home.find)
    device: str = "auto"

    @property
    def finds_pairs(self) -> bool:
        """Whether a hit beside the query is a picture beside a sentence."""
        return self.captions == (self.image is not None)


def check(settings: SearchSettings) -> None:
    """Find out before any work whether the words fit together and the sheet can be written.

    Raises:
        UsageError: when they do not.
        ResourceError: when the sheet's folder cannot be written.
    """
    if settings.image is None and not (settings.query or "").strip():
        raise UsageError(
            'there is nothing to look for. Write: mmx search "man riding cycle", or --image FILE'
        )
    if settings.image is not None and settings.query is not None:
        raise UsageError(f"'{shown(settings.query)}' and --image are two queries. Give one of them.")
    if settings.run is not None and settings.model is not None:
        raise UsageError("--run and --model are two ways to search. Give one of them.")
    of_dataset = {"--captions": settings.captions, "--split": settings.split, "--dataset": settings.dataset}
    word = next((word for word, given in of_dataset.items() if given), None)
    if settings.folder is not None and word is not None:
        raise UsageError(f"{word} needs a dataset, and --in names a folder of photos. Leave out one of them.")
    if settings.model is not None and settings.folder is None and settings.dataset is None:
        raise UsageError(f"'{settings.model}' has no dataset of its own. {WHERE_TO_SEARCH}")
    if settings.top < 0:
        raise UsageError(f"--top {settings.top} is not possible. It is 0 or more.")
    if settings.rerank_top is not None:
        _check_rerank(settings)
    if settings.explain:
        _check_explain(settings)
    if settings.sheet is not None:
        if settings.sheet.suffix.lower() not in SHEET_SUFFIXES or settings.sheet.is_dir():
            raise UsageError(
                f"'{settings.sheet}' is no name for a picture. It ends in: {', '.join(SHEET_SUFFIXES)}."
            )
        check_writable(settings.sheet.expanduser().absolute().parent)


def _check_rerank(settings: SearchSettings) -> None:
    """What is looked at again is a picture beside a sentence."""
    if settings.rerank_top < 0:
        raise UsageError(f"--rerank-top {settings.rerank_top} is not possible. It is 0 or more.")
    if settings.rerank_top and not settings.finds_pairs:
        raise UsageError(
            f"--rerank-top {settings.rerank_top} looks again at pictures beside a sentence. Look for "
            "pictures with a sentence, or for captions with --image FILE --captions."
        )


def _check_explain(settings: SearchSettings) -> None:
    """What is explained is a picture beside a sentence."""
    if settings.explain < 0 or settings.top == 0:
        raise UsageError(
            f"--explain of {settings.explain} hits among --top {settings.top} is not possible. "
            "Both are at least 1."
        )
    if not settings.finds_pairs:
        raise UsageError(
            "--explain shows the words of a sentence on a picture. Look for pictures with a sentence, or for "
            "captions with --image FILE --captions."
        )
    check_writable(settings.evidence.expanduser().absolute().parent)


def shown(text: str) -> str:
    """A name that can be printed: bytes that are no UTF-8 become a replacement sign."""
    return text.encode("utf-8", "replace").decode("utf-8")
