"""Collect the metrics of all runs into one tidy table."""

from pathlib import Path

from gendist.jobs.job_script import run_job
from gendist.stages.evaluation.collect_metrics import collect_metrics

with run_job(snakemake, "metrics"):
    collect_metrics([Path(p).parent for p in snakemake.input.metrics], Path(snakemake.output[0]))
