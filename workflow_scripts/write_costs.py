"""Write the table of costs."""

from pathlib import Path

from gendist.analysis.report.costs_table import write_costs
from gendist.jobs.job_script import run_job

with run_job(snakemake, "costs"):
    write_costs(Path(snakemake.input.costs), Path(snakemake.output.csv), Path(snakemake.output.md))
