"""Write the merged, validated config next to the results."""

from pathlib import Path

from gendist.config.run_config import write_run_config
from gendist.jobs.job_script import run_job

with run_job(snakemake, "config"):
    write_run_config(snakemake.params.study, Path(snakemake.output[0]))
