"""Progress of long work as log lines: done, total, rate, time left."""

import logging
import time

log = logging.getLogger(__name__)


class Progress:
    """Counts units of work and logs at most one line every ``every`` seconds.

    The first line comes after ``every`` seconds, so that short work stays silent.
    """

    def __init__(self, what: str, total: int, unit: str = "rows", every: float = 10.0, before: int = 0) -> None:
        """Take the whole work, of which ``before`` units were done by an earlier attempt."""
        self.what, self.total, self.unit, self.every, self.before = what, total, unit, every, before
        self.done = 0
        self._began = self._last = time.monotonic()

    def add(self, count: int, note: str = "") -> None:
        """Report ``count`` more finished units; ``note`` is appended to the line."""
        self.done += count
        now = time.monotonic()
        if now - self._last < self.every:
            return
        self._last = now
        rate = self.done / (now - self._began)
        done = self.before + self.done
        left = (self.total - done) / rate if rate else float("inf")
        text = f"{self.what}: {done:,} of {self.total:,} {self.unit}, {self._speed(rate)}, {format_clock(left)} left"
        log.info("%s%s", text, f", {note}" if note else "")

    def _speed(self, rate: float) -> str:
        """Format units per second, or what a slow one takes."""
        if rate >= 1:
            return f"{rate:.3g}/s"
        unit = self.unit.removesuffix("s")
        return f"{1 / rate:.3g} s per {unit}" if rate else f"no {unit} yet"


def format_clock(seconds: float) -> str:
    """Format a duration as h:mm:ss or m:ss."""
    if seconds == float("inf"):
        return "?"
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
