"""The form of `mmx search` that asks about a photo: captions retrieved for it, ordered by a question."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from mmx.cli.hits import print_captions
from mmx.cli.report import RichReporter, print_json
from mmx.core.errors import UsageError

if TYPE_CHECKING:
    from mmx.workflows.search_settings import SearchSettings


def answer_question(
    photo: Path, question: str, asked: "SearchSettings", forms: Mapping[str, object], json: bool
) -> None:
    """Print the captions nearest to a photo, those first that are nearest to a question.

    Args:
        photo: what is asked about.
        question: empty for none.
        asked: the words that both kinds of search take, and those that this one refuses.
        forms: other ways to show an answer, as typed, and whether they were asked for.
        json: print a document instead of a table.

    Raises:
        UsageError: for a word that does not go with a question.
    """
    from mmx.workflows import caption_qa as workflow

    _refuse_others(asked, forms)
    settings = workflow.CaptionQaSettings(
        photo=photo,
        question=question or None,
        run=asked.run,
        model=asked.model,
        dataset=asked.dataset,
        split=asked.split or workflow.TRAINING,
        top=asked.top,
        rebuild=asked.rebuild,
        home=asked.home,
        device=asked.device,
    )
    found = workflow.caption_qa(settings, RichReporter())
    return print_json(found.document()) if json else print_captions(found)


def _refuse_others(asked: "SearchSettings", forms: Mapping[str, object]) -> None:
    """A photo with a question gives a table of captions, and takes no other way to search or to show."""
    others = {
        "--image": asked.image,
        "--in": asked.folder,
        "--index": asked.index,
        "--where": asked.where,
        "--table": asked.table,
        "--min-score": asked.min_score,
        "--collapse": asked.collapse,
        "--captions": asked.captions,
        "--rerank-top": asked.rerank_top,
        "--explain": asked.explain,
        "--html": asked.page,
        "--no-refresh": not asked.refresh,
        "--engine onnx": asked.engine == "onnx",
        **forms,
    }
    word = next((word for word, given in others.items() if given), None)
    if word is not None:
        raise UsageError(
            f"{word} does not go with --caption-qa, which retrieves captions for a photo and orders them by "
            "a question. Leave out one of them."
        )
