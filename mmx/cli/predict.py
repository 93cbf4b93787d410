"""mmx predict: what a run says of new photos, or of new posts."""

from pathlib import Path
from typing import Annotated

import typer

from mmx.cli.label_tables import show_labels
from mmx.cli.options import DeviceOption, HomeOption, JsonOption
from mmx.cli.post_tables import show_predictions
from mmx.cli.report import RichReporter, print_json
from mmx.core.home import Home


def predict(
    run: Annotated[Path, typer.Argument(help="A run's folder or name.")],
    inputs: Annotated[
        list[Path], typer.Argument(help="Photos or folders of photos; for a run on posts one table of them.")
    ],
    top: Annotated[int, typer.Option("--top", help="Of photos: classes shown of each.", min=1)] = 3,
    explain: Annotated[
        bool, typer.Option("--explain", help="Of photos: show which class texts the gate opened.")
    ] = False,
    device: DeviceOption = "auto",
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Label new photos with a few-shot classifier, or the posts of a table with a run on posts.

    Probabilities of photos are calibrated on the run's validation shots.
    """
    from mmx.workflows import predict as workflow
    from mmx.workflows.predict_photos import PhotoPredictions

    settings = workflow.PredictSettings(
        run=run, inputs=tuple(inputs), top=top, explain=explain, device=device, home=Home.find(home)
    )
    found = workflow.predict(settings, RichReporter())
    if json:
        return print_json(found.document())
    return show_labels(found) if isinstance(found, PhotoPredictions) else show_predictions(found)
