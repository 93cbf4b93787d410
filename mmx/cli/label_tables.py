"""What `mmx predict` and `mmx evaluate` print of photos that were labelled."""

from typing import TYPE_CHECKING

from mmx.cli.metric_tables import metric_table
from mmx.cli.report import print_lines, print_table

if TYPE_CHECKING:
    from mmx.workflows.evaluate_head import HeadEvaluation
    from mmx.workflows.predict_photos import PhotoPredictions

WORST_CLASSES = 8


def show_labels(found: "PhotoPredictions") -> None:
    """A line a photo: its class, how sure, what else it may be, and what the gate opened."""
    explained = any(photo.evidence is not None for photo in found.photos)
    columns = ("photo", "label", "probability", "or", *(("opened",) if explained else ()))
    rows = []
    for photo in found.photos:
        others = ", ".join(f"{name} {value:.2f}" for name, value in photo.top[1:])
        row = [photo.path, photo.label, f"{photo.probability:.2f}", others]
        if explained:
            row.append("\n".join(f"{text} {weight:.2f}" for text, weight in photo.evidence or ()))
        rows.append(tuple(row))
    print_table("", columns, rows, ("probability",))
    print_lines(
        f"by {found.classifier} of {found.run}; probabilities are calibrated on its validation shots."
    )


def show_head(evaluation: "HeadEvaluation") -> None:
    """The numbers, the classes that are hardest, and what they are taken for."""
    facts = evaluation.facts
    print_lines(f"{evaluation.name} on {facts['dataset']} {facts['split']}: {facts['method']}")
    print_table("", *metric_table(evaluation.metrics, evaluation.intervals, evaluation.comparison))
    there = [row for row in evaluation.rows if row["pictures"]]
    hardest = sorted(there, key=lambda row: row["f1"])[:WORST_CLASSES]
    cells = [
        (
            row["class"],
            f"{row['pictures']:,}",
            *(f"{row[name]:.1f}" for name in ("precision", "recall", "f1")),
        )
        for row in hardest
    ]
    columns = ("class", "pictures", "precision", "recall", "F1")
    print_table(f"the hardest of {len(there)} classes", columns, cells, columns[1:])
    print_lines(
        *(f"{count} of {right} were taken for {said}" for right, said, count in evaluation.confused),
        f"{facts['pictures']:,} pictures. Encoder: {facts['encoders']['image']}. {facts['seconds']:.1f} s on "
        f"{facts['device']}.",
        *evaluation.remarks,
        f"confusion matrix: {evaluation.picture}",
        *([f"Compared with: {evaluation.comparison.name}"] if evaluation.comparison else []),
        *evaluation.definitions,
    )
