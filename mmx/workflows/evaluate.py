"""Evaluate a run by what it was trained for: to rank pictures and captions, to label photos, or posts."""

from mmx.core.errors import UsageError
from mmx.core.reporter import Reporter
from mmx.store.run import find_run
from mmx.workflows.evaluate_head import HeadEvaluation, evaluate_head
from mmx.workflows.evaluate_posts import PostEvaluation, evaluate_posts, reads_posts
from mmx.workflows.evaluate_ranking import evaluate_ranking
from mmx.workflows.evaluate_settings import EvaluateSettings
from mmx.workflows.evaluation import Evaluation
from mmx.workflows.head_run import is_head


def evaluate(settings: EvaluateSettings, reporter: Reporter) -> Evaluation | HeadEvaluation | PostEvaluation:
    """The numbers of a run over a split, which it keeps in its metrics.json; or of a pretrained pair.

    Raises:
        UsageError: for words that do not fit together, or a split that is not there.
        ArtifactError: when the run, dataset, features or weights are missing or do not fit; or when the run
            compared with was trained on another dataset.
        DataError: when the split has nothing of what the run tells.
    """
    named = settings.run if settings.model is None else None
    run = None if named is None else find_run(named, settings.home.runs)
    if run is not None and not is_head(run) and reads_posts(run):
        return evaluate_posts(run, settings, reporter)
    if settings.samples:
        raise UsageError(
            "--samples is for a run on posts, which makes up captions and pictures. Leave it out."
        )
    if run is not None and is_head(run):
        return evaluate_head(run, settings, reporter)
    return evaluate_ranking(settings, reporter)
