"""Stops a job on SIGTERM or Ctrl-C: at once, or, inside ``defer_stop``, where its work is saved."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)
GRACE_SECONDS = 10.0
"""Longest delay of a deferred stop: cluster schedulers send SIGKILL about 30 s after SIGTERM."""
SAME_STOP_SECONDS = 2.0
"""Signals within this time count as one: a scheduler and ``gendist run`` may both forward the same one."""


class Stopped(SystemExit):
    """Raised to stop the job; its exit status is that of a process killed by the signal (143 for SIGTERM)."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.signal = signal.Signals(number).name


class _StopRequest:
    """The pending stop, if any."""

    def __init__(self) -> None:
        self.number: int | None = None
        """Signal number."""
        self.at = 0.0
        self.deferred = 0
        """Number of open ``defer_stop`` blocks."""


_request = _StopRequest()


@contextmanager
def handle_stop_signals() -> Iterator[None]:
    """Raise ``Stopped`` on the signals; signals that this process was started to ignore stay ignored."""
    handled = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, _on_signal) for number in handled}
    if hasattr(signal, "SIGALRM"):
        before[signal.SIGALRM] = signal.signal(signal.SIGALRM, _on_alarm)
    try:
        yield
    finally:
        _clear_deadline()
        for number, handler in before.items():
            signal.signal(number, handler)
        _request.number = None


@contextmanager
def defer_stop() -> Iterator[None]:
    """Delay a stop to the next ``raise_if_stopped``, or to ``GRACE_SECONDS`` after the signal."""
    _request.deferred += 1
    try:
        yield
    finally:
        _request.deferred -= 1
    raise_if_stopped()


def stop_requested() -> bool:
    """Whether a stop is pending."""
    return _request.number is not None


def raise_if_stopped() -> None:
    """Stop the job here if a stop is pending.

    Raises:
        Stopped: if so.
    """
    if _request.number is not None:
        raise Stopped(_request.number)


@contextmanager
def suspend_deadline() -> Iterator[None]:
    """Suspend ``GRACE_SECONDS`` while a file is written."""
    _clear_deadline()
    try:
        yield
    finally:
        if stop_requested():
            _set_deadline()


def _set_deadline(seconds: float | None = None) -> None:
    with suppress(AttributeError, ValueError):  # a platform without timers, or not the main thread
        signal.setitimer(signal.ITIMER_REAL, GRACE_SECONDS if seconds is None else seconds)


def _clear_deadline() -> None:
    _set_deadline(0.0)


def _on_signal(number: int, frame: FrameType | None) -> None:
    now = time.monotonic()
    if _request.number is not None:
        if now - _request.at > SAME_STOP_SECONDS:
            os._exit(128 + number)
        return
    _request.number, _request.at = number, now
    if not _request.deferred:
        raise Stopped(number)
    _set_deadline()


def _on_alarm(number: int, frame: FrameType | None) -> None:
    raise_if_stopped()
