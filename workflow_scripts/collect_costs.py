"""Collect the measured costs in one table."""

from pathlib import Path

from gendist.analysis.costs.collect_costs import collect_costs
from gendist.jobs.job_script import logged
from gendist.naming import parse_system

with logged(snakemake.log[0], "costs"):
    collect_costs(
        [Path(p) for p in snakemake.input.costs],
        metrics=Path(snakemake.input.metrics),
        systems=[parse_system(name, snakemake.params.students) for name in snakemake.params.systems],
        counts=snakemake.params.counts,
        main=snakemake.params.main,
        target=Path(snakemake.output[0]),
    )
