"""The ``gendist`` command and its subcommands.

Subcommands import their dependencies when called: ``gendist predict`` starts without torch, ``--help`` at once.
"""

import os
import sys
from typing import Annotated

import typer

from gendist import __version__
from gendist.cli.card import card
from gendist.cli.compare import compare
from gendist.cli.demo import demo
from gendist.cli.export import export
from gendist.cli.init import init
from gendist.cli.predict import CONTEXT, predict
from gendist.cli.push import push
from gendist.cli.run import run
from gendist.cli.snakefile import snakefile
from gendist.cli.status import status
from gendist.errors import DEBUG_VARIABLE, GendistError, describe_unexpected

app = typer.Typer(
    help="Distil a one-megabyte text classifier from about 100 labelled texts per class.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)


def _show_version(requested: bool) -> None:
    if requested:
        typer.echo(f"gendist {__version__}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[
        bool,
        typer.Option("--debug", help="Show the traceback of an error. GENDIST_DEBUG=1 does the same, also in jobs."),
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Parse the options before the subcommand."""


app.command()(init)
app.command(context_settings={"allow_extra_args": True})(run)
app.command()(status)
app.command()(demo)
app.command()(snakefile)
app.command()(compare)
app.command()(export)
app.command(context_settings=CONTEXT)(predict)
app.command()(card)
app.command()(push)


def main() -> None:
    """Run the command. Errors print one line and exit with status 1; with ``--debug``, a traceback."""
    debug = "--debug" in sys.argv or bool(os.environ.get(DEBUG_VARIABLE))
    try:
        app()
    except GendistError as error:
        if debug:
            raise
        sys.exit(f"error: {error}")
    except Exception as error:
        if debug:
            raise
        sys.exit(f"error: {describe_unexpected(error)} (gendist --debug … shows the traceback)")
