"""``gendist predict``: label texts with an exported model."""

import typer

from gendist.cli.extras import require_extra

CONTEXT = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
"""All arguments go to the parser of ``gendist.predict.command``, which the light distribution has too."""


def predict(context: typer.Context) -> None:
    """Label texts with an exported model.

    Example: `gendist predict model/ reviews.csv -o labels.csv`
    """
    require_extra("predict")
    from gendist.predict.command import run_command

    run_command(context.args, "gendist predict")
