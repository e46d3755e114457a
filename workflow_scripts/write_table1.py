"""Write Table 1: all systems."""

from pathlib import Path

from gendist.analysis.report.table1 import write_table1
from gendist.jobs.job_script import logged

with logged(snakemake.log[0], "table1"):
    write_table1(
        Path(snakemake.input.metrics),
        snakemake.params.systems,
        snakemake.params.counts,
        snakemake.params.main,
        Path(snakemake.output.csv),
        Path(snakemake.output.md),
        Path(snakemake.output.tex),
    )
