"""Progress bars as log lines: done, total, rate, time left."""

import logging
import time

log = logging.getLogger(__name__)

MIN_SHARE = 0.01
"""Share of the work from which the time left is estimated; the first units contain the start."""


class Progress:
    """Counts units of work and logs at most one line every ``interval`` seconds.

    The first line appears after ``interval`` seconds, so short work logs nothing.
    """

    def __init__(
        self, description: str, total: int, unit: str = "rows", *, interval: float = 10.0, initial: int = 0
    ) -> None:
        """Start counting.

        Args:
            description: start of each line.
            total: units of the whole work.
            unit: plural name of a unit.
            interval: minimum seconds between lines.
            initial: units done by an earlier attempt.
        """
        self.description, self.total, self.unit = description, total, unit
        self.interval, self.initial = interval, initial
        self.done = 0
        self._began = self._last = time.monotonic()

    def update(self, count: int, note: str = "") -> None:
        """Add ``count`` finished units; ``note`` is appended to the line."""
        self.done += count
        now = time.monotonic()
        if now - self._last < self.interval:
            return
        self._last = now
        rate = self.done / (now - self._began)
        done = self.initial + self.done
        measured = self.done >= MIN_SHARE * self.total
        left = (self.total - done) / rate if rate and measured else float("inf")
        text = f"{self.description}: {done:,} of {self.total:,} {self.unit}, {self._format_rate(rate)}"
        log.info("%s, %s left%s", text, format_clock(left), f", {note}" if note else "")

    def _format_rate(self, rate: float) -> str:
        """Format units per second, or seconds per unit of slow work."""
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
