"""Snakemake as a child process: started, followed through its events, interrupted with care."""

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
from gendist.workflow.checkout import command
from gendist.workflow.events import FILE
from gendist.workflow.locks import busy, claimed
from gendist.workflow.scratch import scratch_folder
from gendist.workflow.state import Events, State

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
LOCKED = "cannot be locked"
NAMED = re.compile(r"\w*(Exception|Error)\b")
"""How the line of a Snakemake error begins."""


def follow(
    config: Path, arguments: Sequence[str], output: Path, show: Callable[[State], None], every: float = 0.5
) -> tuple[State, int, bool]:
    """Run Snakemake in the working directory until it ends.

    Args:
        config: the study's config.
        arguments: for Snakemake.
        output: file for all that Snakemake and its jobs print.
        show: called every ``every`` seconds with the state, and once at the end.
        every: seconds.

    Returns:
        What became of the jobs, Snakemake's exit status, and whether the user interrupted it.

    Raises:
        GendistError: if ``output`` cannot be written, or a run that has not ended writes to it.
    """
    with scratch_folder() as folder, claimed(output) as stream:
        events = Events(folder / "events.jsonl")
        child = _started(command(config, *arguments), stream, events.path)
        state = State()
        with _passed_on(child) as received:
            while True:
                ended = child.poll() is not None
                state.stopping = bool(received)
                for event in events.new():
                    state.take(event)
                show(state)
                if ended:
                    _stop_orphans(child)
                    return state, child.returncode, bool(received)
                _wait(child, every)


def _started(words: list[str], output: BinaryIO, events: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, FILE: str(events)}
    if not {"--profile", "--executor", "-e"} & set(words):  # jobs of a cluster run where this folder is not
        environment["TMPDIR"] = str(events.parent)
    return subprocess.Popen(
        words,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=environment,
        start_new_session=True,  # signals are passed on by us, once each, to it and its jobs
    )


def _stop_orphans(child: subprocess.Popen[bytes], seconds: float = 15.0) -> None:
    """End the jobs of a Snakemake that was killed, which else would be in the way of the next run.

    They may take a while to save their work.
    """
    if child.returncode >= 0:
        return
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGTERM)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            os.killpg(child.pid, 0)
            time.sleep(0.1)


def _wait(child: subprocess.Popen[bytes], seconds: float) -> None:
    # Not child.wait(timeout), which polls in ever longer steps.
    until = time.monotonic() + seconds
    while time.monotonic() < until and child.poll() is None:
        time.sleep(0.05)


@contextmanager
def _passed_on(child: subprocess.Popen[bytes]) -> Iterator[list[int]]:
    """Pass signals on to a child and its jobs; collects those that came."""
    received: list[int] = []

    def pass_on(number: int, frame: FrameType | None) -> None:
        received.append(number)
        # A third Ctrl-C means it: Snakemake may wait for a job that does not listen.
        sent = signal.SIGKILL if len(received) > 2 else number
        with suppress(ProcessLookupError):
            os.killpg(child.pid, sent)

    # What this process was started to ignore (nohup, a background job of a script), its children ignore as well.
    heard = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, pass_on) for number in heard}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def planned(config: Path, arguments: Sequence[str] = ()) -> State:
    """Return what a study would run now, by a dry run.

    Raises:
        GendistError: if the study cannot be planned; one line with the cause.
    """
    with scratch_folder() as folder:
        output = folder / "output.log"
        state, status, interrupted = follow(
            config, ["--dry-run", "--quiet", "all", "--cores", "1", *arguments], output, lambda _: None
        )
        if interrupted:
            raise KeyboardInterrupt
        if status or not state.planned:
            raise why_nothing_ran(output)
        return state


def why_nothing_ran(output: Path, planned: bool = False) -> GendistError:
    """Return the cause of a Snakemake that ended without any failed job, from what it printed."""
    lines = [line.strip() for line in output.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    if any(LOCKED in line for line in lines):
        return busy()
    for line in lines:
        if line.startswith("error: "):  # one of ours
            return GendistError(line.removeprefix("error: "))
    told = [line for line in lines if not line.startswith("Using ")]
    start = next((i for i, line in enumerate(told) if NAMED.match(line)), max(0, len(told) - 3))
    what = "stopped" if planned else "did not start"
    return GendistError(f"Snakemake {what}: {' '.join(told[start : start + 4]) or 'no message'}")
