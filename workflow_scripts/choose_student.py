"""Choose the student to export by its held-out scores."""

from pathlib import Path

from gendist.jobs.job_script import run_job
from gendist.naming import RunKey
from gendist.stages.export.choose_student import choose_student

with run_job(snakemake, f"{snakemake.wildcards.dataset} choice"):
    choose_student(
        [RunKey(**run) for run in snakemake.params.runs],
        [Path(p) for p in snakemake.input.held_out],
        Path(snakemake.output[0]),
    )
