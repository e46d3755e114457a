"""Collect the measured costs in one table."""

from pathlib import Path

from gendist.analysis.costs.collect_costs import collect_costs
from gendist.jobs.job_script import run_job
from gendist.naming import parse_system

with run_job(snakemake, "costs"):
    collect_costs(
        [Path(p) for p in snakemake.input.costs],
        metrics=Path(snakemake.input.metrics),
        systems=[parse_system(name, snakemake.params.students) for name in snakemake.params.systems],
        counts=snakemake.params.counts,
        main=snakemake.params.main,
        target=Path(snakemake.output[0]),
    )
