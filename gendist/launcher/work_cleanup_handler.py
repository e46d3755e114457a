"""Removes what finished jobs kept for a rerun, once Snakemake has taken note of them all."""

import logging
from pathlib import Path
from typing import Any

from gendist.jobs.work_cleanup import remove_finished_work
from gendist.launcher.events import NOTHING


class WorkCleanupHandler(logging.Handler):
    """Clears the work folders of finished results at the end of a run.

    Snakemake's own hook for that is not called where there is nothing to run, as after a run that was killed in its
    very last moment; that much is only told in the log.
    """

    def __init__(self, root: Path, workflow: Any) -> None:
        super().__init__()
        self.root, self.workflow = root, workflow

    @classmethod
    def attach(cls, root: Path, workflow: Any) -> "WorkCleanupHandler":
        """Listen to this process's Snakemake."""
        handler = cls(root, workflow)
        logging.getLogger("snakemake.logging").addHandler(handler)
        return handler

    def emit(self, record: logging.LogRecord) -> None:
        """Take note that there is nothing to run; ignore all other records."""
        if str(record.msg).startswith(NOTHING):
            self.clear()

    def clear(self) -> None:
        """Remove them, unless this is a dry run or a job's own Snakemake: theirs is not the end of the run."""
        if self.workflow.is_main_process and not self.workflow.dryrun:
            remove_finished_work(self.root)
