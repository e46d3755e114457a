"""Runs Snakemake as a child process, reads its events, and forwards signals to it."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import BinaryIO

from gendist.errors import GendistError
from gendist.launcher.events import EVENTS_VARIABLE
from gendist.launcher.run_locks import in_use_error, locked_log
from gendist.launcher.snakemake_command import snakemake_command
from gendist.launcher.study_state import EventReader, StudyState
from gendist.launcher.temporary_files import temporary_folder

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
LOCKED = "cannot be locked"
"""Part of Snakemake's message if its locks exist."""
EXCEPTION = re.compile(r"\w*(Exception|Error)\b")
"""Start of the line of an exception in Snakemake's output."""


def run_snakemake(
    config: Path,
    arguments: Sequence[str],
    output: Path,
    *,
    on_update: Callable[[StudyState], None],
    every: float = 0.5,
) -> tuple[StudyState, int, bool]:
    """Run Snakemake in the working directory until it ends.

    Args:
        config: the study's config.
        arguments: arguments of Snakemake.
        output: file for the output of Snakemake and its jobs.
        on_update: called with the state every ``every`` seconds, and at the end.
        every: seconds between calls.

    Returns:
        The final state, Snakemake's exit status, and whether the user interrupted it.

    Raises:
        GendistError: if ``output`` is not writable, or another run has locked it.
    """
    with temporary_folder() as folder, locked_log(output) as stream:
        events = EventReader(folder / "events.jsonl")
        child = _start(snakemake_command(config, *arguments), stream, events.path)
        state = StudyState()
        with _forward_signals(child) as received:
            while True:
                ended = child.poll() is not None
                state.stopping = bool(received)
                for event in events.new():
                    state.apply(event)
                on_update(state)
                if ended:
                    _stop_orphans(child)
                    return state, child.returncode, bool(received)
                _wait(child, every)


def _start(words: list[str], output: BinaryIO, events: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, EVENTS_VARIABLE: str(events)}
    if not {"--profile", "--executor", "-e"} & set(words):  # cluster jobs run on machines without this folder
        environment["TMPDIR"] = str(events.parent)
    return subprocess.Popen(
        words,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=environment,
        start_new_session=True,  # signals are forwarded, once each, by _forward_signals
    )


def _stop_orphans(child: subprocess.Popen[bytes], seconds: float = 15.0) -> None:
    """Stop the orphaned jobs of a killed Snakemake, which would block the next run; wait while they save their work."""
    if child.returncode >= 0:
        return
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGTERM)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            os.killpg(child.pid, 0)
            time.sleep(0.1)


def _wait(child: subprocess.Popen[bytes], seconds: float) -> None:
    # Not child.wait(timeout), which polls at growing intervals.
    until = time.monotonic() + seconds
    while time.monotonic() < until and child.poll() is None:
        time.sleep(0.05)


@contextmanager
def _forward_signals(child: subprocess.Popen[bytes]) -> Iterator[list[int]]:
    """Forward signals to a child and its jobs; yield the list of received signals."""
    received: list[int] = []

    def forward(number: int, frame: FrameType | None) -> None:
        received.append(number)
        # A third Ctrl-C kills: Snakemake may be waiting for a job that ignores signals.
        sent = signal.SIGKILL if len(received) > 2 else number
        with suppress(ProcessLookupError):
            os.killpg(child.pid, sent)

    # Signals that this process was started to ignore (nohup, background jobs of a script) stay ignored.
    handled = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, forward) for number in handled}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def plan_study(config: Path, arguments: Sequence[str] = ()) -> StudyState:
    """Return the state of a study, with the jobs that a run would execute, by a dry run.

    Raises:
        GendistError: if planning fails.
    """
    with temporary_folder() as folder:
        output = folder / "output.log"
        state, status, interrupted = run_snakemake(
            config, ["--dry-run", "--quiet", "all", "--cores", "1", *arguments], output, on_update=lambda _: None
        )
        if interrupted:
            raise KeyboardInterrupt
        if status or not state.planned:
            raise startup_error(output)
        return state


def startup_error(output: Path, planned: bool = False) -> GendistError:
    """Return the error of a Snakemake that stopped without a failed job, from its output."""
    lines = [line.strip() for line in output.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    if any(LOCKED in line for line in lines):
        return in_use_error()
    for line in lines:
        if line.startswith("error: "):  # from gendist
            return GendistError(line.removeprefix("error: "))
    messages = [line for line in lines if not line.startswith("Using ")]
    start = next((i for i, line in enumerate(messages) if EXCEPTION.match(line)), max(0, len(messages) - 3))
    what = "stopped" if planned else "did not start"
    return GendistError(f"Snakemake {what}: {' '.join(messages[start : start + 4]) or 'no message'}")
