"""Write Table 1: all systems."""

from pathlib import Path

from gendist.analysis.report.table1 import write_table1
from gendist.jobs.job_script import run_job

with run_job(snakemake, "table1"):
    write_table1(
        Path(snakemake.input.metrics),
        systems=snakemake.params.systems,
        counts=snakemake.params.counts,
        main=snakemake.params.main,
        out_csv=Path(snakemake.output.csv),
        out_md=Path(snakemake.output.md),
        out_tex=Path(snakemake.output.tex),
    )
