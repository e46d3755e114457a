"""Runs the study of a fit as a child process, so that signals and threads of the caller are left alone."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from gendist.classifier.training_folder import CONFIG
from gendist.errors import GendistError

COMMAND = (sys.executable, "-m", "gendist")
COLOURS = ("FORCE_COLOR", "CLICOLOR_FORCE", "TTY_COMPATIBLE")
"""Variables that notebooks set, with which a pipe would be taken for a terminal."""
LINES_SHOWN = 4
"""Last lines of a failed run in its error message."""


def run_training(folder: Path, *, quick: bool, cores: int | None, show: Callable[[str], None]) -> None:
    """Run the study in ``folder`` up to its exported classifier, or resume it.

    An interrupt stops the run, which keeps its finished jobs.

    Args:
        folder: written by ``write_training_folder``.
        quick: run the quick study, else the whole trainings.
        cores: parallel jobs; None for one per core.
        show: called with each line of progress.

    Raises:
        GendistError: if a job failed or the run cannot start.
        KeyboardInterrupt: once the run has stopped.
    """
    arguments = ["run", CONFIG, "--quick"] if quick else ["export", CONFIG]
    arguments += [] if cores is None else ["--cores", str(cores)]
    environment = {name: value for name, value in os.environ.items() if name not in COLOURS}
    with subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=folder,
        env=environment | {"PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,  # an interrupt is forwarded once, below
    ) as child:
        lines = _follow(child, show)
    if child.returncode:
        raise _failure(lines, folder)


def _follow(child: subprocess.Popen[str], show: Callable[[str], None]) -> list[str]:
    """Show the lines of a child until it ends; forward interrupts, and raise the first one after its end."""
    assert child.stdout is not None  # noqa: S101
    lines: list[str] = []
    interrupt: KeyboardInterrupt | None = None
    while True:
        try:
            for line in child.stdout:
                lines.append(line.rstrip("\n"))
                show(lines[-1])
            child.wait()
            break
        except KeyboardInterrupt as error:
            interrupt = interrupt or error
            child.send_signal(signal.SIGINT)
        except BaseException:
            child.send_signal(signal.SIGTERM)
            raise
    if interrupt is not None:
        raise interrupt
    return lines


def _failure(lines: Sequence[str], folder: Path) -> GendistError:
    """Return the error of a failed run, from its own messages."""
    for line in lines:
        for start in ("error: ", "failed: "):
            if line.startswith(start):
                return GendistError(f"fit failed: {line.removeprefix('error: ')} (logs: {folder / 'results' / 'logs'})")
    return GendistError(f"fit failed: {' '.join(lines[-LINES_SHOWN:]) or 'killed, or no message'} (folder: {folder})")
