"""What a search is asked: the words that it takes, and which of them do not fit together."""

import math
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from mmx.core.errors import UsageError
from mmx.core.home import Home
from mmx.core.paths import expanded
from mmx.core.present import present
from mmx.search.query import Term, parse_query
from mmx.store.atomic import check_writable
from mmx.store.image_paths import IMAGE_SUFFIXES

WHERE_TO_SEARCH = "Name a folder of photos (--in DIR) or a prepared dataset (--dataset NAME)."
NEARLY_SAME = 0.98
"""Cosine from which two pictures are taken for one, unless another is asked for."""
ENGINES = ("auto", "torch", "onnx")
SHEET_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
PAGE_SUFFIXES = (".html", ".htm")


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
    index: str | None = None
    """An index of photos by its address: a file of Milvus, a cluster, or a file of a gallery."""
    dataset: str | None = None
    """A prepared corpus; with neither, the run's own."""
    split: str | None = None
    """One split of the corpus; else all of them."""
    top: int = 9
    where: str | None = None
    """A condition on the columns of the pictures, in SQL."""
    table: Path | None = None
    """A table of one's own, whose columns the photos of a folder have too."""
    min_score: str | None = None
    """The least cosine, or as `90%` the share of right pictures that lie above it on val."""
    collapse: float | None = None
    """The cosine from which two pictures are shown as one."""
    rerank_top: int | None = None
    """How many of the nearest a second stage looks at again; 0 for none, None for as many as is usual."""
    sheet: Path | None = None
    """Where the contact sheet is written, if anywhere."""
    page: Path | None = None
    """Where a page of the hits is written, if anywhere."""
    explain: int = 0
    """How many of the best hits are explained, word by region."""
    evidence: Path = Path("mmx-search-evidence")
    """Where that is written: `-1.png`, .., `.html` and `.json` are added to the name."""
    rebuild: bool = False
    refresh: bool = True
    """Whether a folder is looked at first; else its index is searched as it is."""
    home: Home = field(default_factory=Home.find)
    device: str = "auto"
    engine: str = "auto"
    """What encodes words: torch; onnx, which needs an export of the run; or auto, onnx where it can answer
    alone and torch else. Their scores differ by no more than 1e-4; by more with an export in int8, which auto
    never takes.
    """

    @property
    def of_photos(self) -> bool:
        """Whether photos of a folder are searched, and no dataset."""
        return self.folder is not None or self.index is not None

    @cached_property
    def terms(self) -> tuple[Term, ...]:
        """What is asked: the sum of these.

        Raises:
            UsageError: when the query is no sum.
        """
        pictures = () if self.image is None else (Term(1.0, picture=expanded(self.image)),)
        if pictures and not (self.query or "").strip():
            return pictures
        return (*pictures, *parse_query(shown(self.query or ""), IMAGE_SUFFIXES))

    @property
    def said(self) -> str:
        """The query as one would write it."""
        query = shown(self.query or "").strip()
        if self.image is None:
            return shown(self.query or "")
        picture = shown(str(self.image))
        return f"{picture} {query if query[:1] in '+-' else f'+ {query}'}" if query else picture

    @property
    def asked_with(self) -> str:
        """`text` or `image` where the query is one sentence or one picture, else `sum`."""
        if len(self.terms) > 1 or self.terms[0].weight < 0:
            return "sum"
        return "text" if self.terms[0].picture is None else "image"

    @property
    def finds_pairs(self) -> bool:
        """Whether a hit beside the query is a picture beside a sentence."""
        return self.asked_with == ("image" if self.captions else "text")


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
    _ = settings.terms
    if settings.run is not None and settings.model is not None:
        raise UsageError("--run and --model are two ways to search. Give one of them.")
    of_dataset = {"--captions": settings.captions, "--split": settings.split, "--dataset": settings.dataset}
    word = next((word for word, given in of_dataset.items() if given), None)
    if settings.of_photos and word is not None:
        place = "--in names a folder of photos" if settings.index is None else "--index an index of photos"
        raise UsageError(f"{word} needs a dataset, and {place}. Leave out one of them.")
    if settings.index is not None:
        _check_index(settings)
    if settings.model is not None and not settings.of_photos and settings.dataset is None:
        raise UsageError(f"'{settings.model}' has no dataset of its own. {WHERE_TO_SEARCH}")
    if settings.engine not in ENGINES:
        raise UsageError(f"--engine '{settings.engine}' is none. There are: {', '.join(ENGINES)}.")
    if settings.top < 0:
        raise UsageError(f"--top {settings.top} is not possible. It is 0 or more.")
    _check_cuts(settings)
    if settings.rerank_top is not None:
        _check_rerank(settings)
    if settings.explain:
        _check_explain(settings)
    for path, suffixes, what in (
        (settings.sheet, SHEET_SUFFIXES, "picture"),
        (settings.page, PAGE_SUFFIXES, "page"),
    ):
        if path is not None:
            _check_place(path, suffixes, what)


def _check_place(path: Path, suffixes: tuple[str, ...], what: str) -> None:
    if path.suffix.lower() not in suffixes or path.is_dir():
        raise UsageError(f"'{path}' is no name for a {what}. It ends in: {', '.join(suffixes)}.")
    check_writable(expanded(path).absolute().parent)


def _check_cuts(settings: SearchSettings) -> None:
    """What narrows down the hits."""
    if settings.where is not None and not settings.where.strip():
        raise UsageError("--where '' is no condition. Write for example: --where \"size > 100000\"")
    if settings.table is not None and (settings.folder is None or settings.where is None):
        raise UsageError(
            f"--table '{settings.table}' gives photos of a folder columns for --where. Give both --in DIR "
            "and --where, or leave it out."
        )
    if settings.min_score is not None:
        _, is_share = read_min_score(settings.min_score)
        if is_share and settings.asked_with != "text":
            raise UsageError(
                f"--min-score {settings.min_score} is known for sentences alone. Give a cosine, such as 0.3."
            )
        if is_share and settings.captions:
            raise UsageError(f"--min-score {settings.min_score} is of pictures. Leave out --captions.")
    if settings.collapse is not None and not 0 < settings.collapse <= 1:
        raise UsageError(f"--collapse-above {settings.collapse} is no cosine of like pictures: 0 < it <= 1.")
    if settings.collapse is not None and settings.captions:
        raise UsageError("--collapse shows like pictures as one. Leave it out beside --captions.")
    if settings.rebuild and not settings.refresh:
        raise UsageError("--rebuild and --no-refresh contradict each other. Leave out one of them.")
    if not settings.refresh and not settings.of_photos:
        raise UsageError("--no-refresh is of an index of photos (--in DIR). Leave it out.")


def _check_index(settings: SearchSettings) -> None:
    """An index at an address is searched as it is."""
    others = {"--in": settings.folder, "--table": settings.table, "--rebuild": settings.rebuild}
    word = next((word for word, given in others.items() if given), None)
    if word is not None:
        raise UsageError(
            f"{word} does not go with --index, which searches an index as it is. Leave out one of them; "
            "mmx index refresh ADDRESS brings it up to date."
        )


def read_min_score(text: str) -> tuple[float, bool]:
    """A least cosine, or with a percent sign a share (then true beside it).

    Raises:
        UsageError: when it is neither.
    """
    number, is_share = text.strip().removesuffix("%"), text.strip().endswith("%")
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if is_share and value in range(1, 100):
        return value, True
    if not is_share and -1 <= value <= 1:
        return value, False
    raise UsageError(
        f"--min-score '{text}' is neither a cosine from -1 to 1, such as 0.3, nor a whole percentage from 1% "
        "to 99%."
    )


def _check_rerank(settings: SearchSettings) -> None:
    """What is looked at again is a picture beside a sentence."""
    if present(settings.rerank_top) < 0:
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
    check_writable(expanded(settings.evidence).absolute().parent)


def shown(text: str) -> str:
    """A name that can be printed: bytes that are no UTF-8 become a replacement sign."""
    return text.encode("utf-8", "replace").decode("utf-8")
