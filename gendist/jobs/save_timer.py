"""When to save: now and then, and never so often that saving takes more than a small share of the time."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

SAVE_SECONDS_VARIABLE = "GENDIST_SAVE_SECONDS"
"""Environment variable with other seconds between two saves; 0 saves after every step, for tests."""
MAX_SHARE = 0.03
"""Most of the time that may go into saving."""


class SaveTimer:
    """Says when the next save is due, from how long the last one took."""

    def __init__(self, every: float) -> None:
        """Take the seconds from one save to the next, which the environment may replace."""
        self.every = float(os.environ.get(SAVE_SECONDS_VARIABLE) or every)
        self._wait = self.every
        self._last = time.monotonic()

    def now(self) -> bool:
        """Whether it is time."""
        return time.monotonic() - self._last >= self._wait

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Measure a save; wait until the next."""
        began = time.monotonic()
        yield
        self._last = time.monotonic()
        self._wait = max(self.every, (self._last - began) / MAX_SHARE) if self.every else 0.0
