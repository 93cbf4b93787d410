"""What `mmx evaluate` and `mmx predict` print of posts."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mmx.cli.metric_tables import metric_table
from mmx.cli.report import print_lines, print_table

if TYPE_CHECKING:
    from mmx.workflows.evaluate_posts import PostEvaluation
    from mmx.workflows.predict_posts import PostPrediction, PostPredictions

MOST_TEXT = 70


def show_posts(evaluation: "PostEvaluation") -> None:
    """The numbers as tables, then what they mean."""
    facts, compared = evaluation.facts, evaluation.comparison
    print_lines(f"{evaluation.name} on {facts['dataset']} {facts['split']}: {facts['task']}")
    print_table("", *metric_table(evaluation.metrics, evaluation.intervals, compared))
    _show_rows(evaluation)
    encoders = ", ".join(facts["encoders"].values())
    print_lines(
        f"{facts['posts']:,} posts. Encoders: {encoders}. {facts['seconds']:.1f} s on {facts['device']}.",
        *evaluation.remarks,
    )
    if compared:
        print_lines(f"Compared with: {compared.name}")
    if evaluation.samples is not None:
        print_lines(f"samples: {evaluation.samples}")
    print_lines(*evaluation.definitions)


def show_predictions(found: "PostPredictions") -> None:
    """A line a post: its entities, or its sentiment."""
    columns = ("post", "text", "picture", found.task)
    cells = [(post.id, post.text[:MOST_TEXT], post.image, _said(post)) for post in found.posts]
    print_table("", columns, cells)
    unread = sum(post.unread_words for post in found.posts)
    if unread:
        print_lines(
            f"{unread:,} words lie beyond the tokens that the run reads: no entity is looked for there."
        )
    print_lines(f"by {found.run}")


def _said(post: "PostPrediction") -> str:
    if post.entities is None:
        sure = max((post.probabilities or {}).values(), default=0.0)
        return f"{post.sentiment} {sure:.2f}"
    return "\n".join(f"{entity.type} {entity.text} {entity.score:.2f}" for entity in post.entities) or "-"


def _show_rows(evaluation: "PostEvaluation") -> None:
    """Types of entities with their scores, or classes with how often each was said."""
    if not evaluation.rows:
        return
    if "said" in evaluation.rows[0]:
        said = list(evaluation.rows[0]["said"])
        columns = ("class", "posts", "precision", "recall", "F1", *(f"said {name}" for name in said))
        cells = [
            (
                row["class"],
                f"{row['posts']:,}",
                *_scores(row),
                *(f"{count:,}" for count in row["said"].values()),
            )
            for row in evaluation.rows
        ]
    else:
        columns = ("type (strict)", "gold", "predicted", "precision", "recall", "F1")
        cells = [
            (row["type"], f"{row['gold']:,}", f"{row['predicted']:,}", *_scores(row))
            for row in evaluation.rows
        ]
    print_table("", columns, cells, columns[1:])


def _scores(row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(f"{row[name]:.1f}" for name in ("precision", "recall", "f1"))
