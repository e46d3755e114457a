"""Times of files when the clock is wrong, or jumps.

Snakemake removes what a job has made if it is older than an input: with a clock that was set back, or data copied
from a machine whose clock is ahead, no job would ever succeed. Its times only have to be in the right order.
"""

import os
from pathlib import Path
from typing import Any


def attach() -> None:
    """Have Snakemake put an output's time right that lies before an input's, where it would fail the job."""
    from snakemake.dag import DAG

    if hasattr(DAG, "check_output_mtime"):
        DAG.check_output_mtime = _keep_order


async def _keep_order(dag: Any, job: Any, outputs: Any) -> None:
    times = [Path(file).stat().st_mtime_ns for file in job.input if Path(file).exists()]
    newest = max(times, default=0)
    for output in map(Path, outputs):
        if output.exists() and output.stat().st_mtime_ns < newest:
            os.utime(output, ns=(newest, newest))
