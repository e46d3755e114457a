"""Write Table 2: hard labels against distillation."""

from pathlib import Path

from gendist.analysis.report.table2 import write_table2
from gendist.jobs.job_script import logged

with logged(snakemake.log[0], "table2"):
    write_table2(
        Path(snakemake.input.metrics),
        snakemake.params.student,
        snakemake.params.counts,
        snakemake.params.main,
        Path(snakemake.output.csv),
        Path(snakemake.output.md),
    )
