"""Decides when to save: at regular intervals, but never so often that saving takes a large share of the time."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

SAVE_SECONDS_VARIABLE = "GENDIST_SAVE_SECONDS"
"""Environment variable that overrides the seconds between saves; 0 saves after every step, for tests."""
MAX_SHARE = 0.03
"""Largest share of the time spent on saving."""


class SaveTimer:
    """Schedules the next save by the interval and by how long the last save took."""

    def __init__(self, interval: float) -> None:
        """Start the timer; ``interval`` is in seconds, and the environment can override it."""
        self.interval = float(os.environ.get(SAVE_SECONDS_VARIABLE) or interval)
        self._wait = self.interval
        self._last = time.monotonic()

    def is_due(self) -> bool:
        """Whether it is time to save."""
        return time.monotonic() - self._last >= self._wait

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Measure a save and schedule the next one."""
        began = time.monotonic()
        yield
        self._last = time.monotonic()
        self._wait = max(self.interval, (self._last - began) / MAX_SHARE) if self.interval else 0.0
