"""Ending a job on SIGTERM or Ctrl-C: at once, or, within ``postponed``, at a place where its work is safe."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)
GRACE_SECONDS = 10.0
"""Seconds after which a postponed stop no longer waits for ``check``: queues kill half a minute after asking."""
SAME_STOP_SECONDS = 2.0
"""Signals within as many seconds count as one: a queue and ``gendist run`` may both pass the same one on."""


class Stopped(SystemExit):
    """The job was asked to stop; its status is that of a process ended by the signal (143 for SIGTERM)."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.signal = signal.Signals(number).name


class _Request:
    """The stop that was asked for, if any."""

    def __init__(self) -> None:
        self.number: int | None = None
        self.at = 0.0
        self.postponed = 0
        """How many ``postponed`` blocks are open."""


_request = _Request()


@contextmanager
def handle_stop_signals() -> Iterator[None]:
    """Turn the signals into ``Stopped``; what this process was started to ignore stays ignored."""
    heard = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, _on_signal) for number in heard}
    if hasattr(signal, "SIGALRM"):
        before[signal.SIGALRM] = signal.signal(signal.SIGALRM, _on_alarm)
    try:
        yield
    finally:
        _set_deadline(False)
        for number, handler in before.items():
            signal.signal(number, handler)
        _request.number = None


@contextmanager
def defer_stop() -> Iterator[None]:
    """Let a stop that is asked for within take effect at the next ``check``, or ``GRACE`` seconds later."""
    _request.postponed += 1
    try:
        yield
    finally:
        _request.postponed -= 1
    raise_if_stopped()


def stop_requested() -> bool:
    """Whether the job was asked to stop."""
    return _request.number is not None


def raise_if_stopped() -> None:
    """End the job here if it was asked to stop.

    Raises:
        Stopped: if it was.
    """
    if _request.number is not None:
        raise Stopped(_request.number)


@contextmanager
def suspend_deadline() -> Iterator[None]:
    """Keep what is written within from being cut off by the end of ``GRACE``."""
    _set_deadline(False)
    try:
        yield
    finally:
        if stop_requested():
            _set_deadline(True)


def _set_deadline(on: bool) -> None:
    """Start the clock of ``GRACE``, or stop it."""
    with suppress(AttributeError, ValueError):  # no timers here, or not the main thread, which has none running
        signal.setitimer(signal.ITIMER_REAL, GRACE_SECONDS if on else 0.0)


def _on_signal(number: int, frame: FrameType | None) -> None:
    now = time.monotonic()
    if _request.number is not None:
        if now - _request.at > SAME_STOP_SECONDS:
            os._exit(128 + number)
        return
    _request.number, _request.at = number, now
    if not _request.postponed:
        raise Stopped(number)
    _set_deadline(True)


def _on_alarm(number: int, frame: FrameType | None) -> None:
    raise_if_stopped()
