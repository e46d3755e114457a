"""Removes the work folders of finished results at the end of a run, when Snakemake has recorded all jobs."""

import logging
from pathlib import Path
from typing import Any

from gendist.jobs.work_cleanup import remove_finished_work
from gendist.launcher.events import NOTHING_TO_DO


class WorkCleanupHandler(logging.Handler):
    """Log handler that removes work folders when Snakemake logs that there is nothing to run.

    Snakemake does not call ``onsuccess`` in this case, which follows a run that was killed after its last job.
    """

    def __init__(self, root: Path, workflow: Any) -> None:
        super().__init__()
        self.root, self.workflow = root, workflow

    @classmethod
    def attach(cls, root: Path, workflow: Any) -> "WorkCleanupHandler":
        """Add a handler to the Snakemake of this process."""
        handler = cls(root, workflow)
        logging.getLogger("snakemake.logging").addHandler(handler)
        return handler

    def emit(self, record: logging.LogRecord) -> None:
        """Remove the work folders if there is nothing to run; ignore all other records."""
        if str(record.msg).startswith(NOTHING_TO_DO):
            self.clear()

    def clear(self) -> None:
        """Remove the work folders, except in a dry run or in a job's own Snakemake process."""
        if self.workflow.is_main_process and not self.workflow.dryrun:
            remove_finished_work(self.root)
