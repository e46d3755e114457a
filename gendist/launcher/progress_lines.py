"""Progress lines of a study run by plain Snakemake."""

import logging
import sys
import time
from typing import Any

from gendist.launcher.events import JobEventHandler, JobSeconds
from gendist.launcher.study_state import StudyState


class ProgressLineHandler(JobEventHandler):
    """Prints the jobs done, the elapsed time and the time left when a job ends, at most every ``every`` seconds."""

    every = 5.0

    @classmethod
    def attach(cls, workflow: Any, seconds: JobSeconds, gpus: int) -> None:
        """Attach to the Snakemake of this process, if it is the main one; further calls have no effect."""
        logger = logging.getLogger("snakemake.logging")
        if workflow.is_main_process and not any(isinstance(handler, cls) for handler in logger.handlers):
            handler = cls(workflow, seconds, gpus)
            handler.state, handler.printed = StudyState(), time.monotonic()
            logger.addHandler(handler)

    state: StudyState
    printed: float

    def handle_event(self, event: dict[str, Any]) -> None:
        """Update the state, and print it if due."""
        self.state.apply(event)
        now = time.monotonic()
        if event["event"] == "finished" and now - self.printed >= self.every and self.state.running:
            self.printed = now
            print(f"[study] {self.state.summary()}", file=sys.stderr, flush=True)
