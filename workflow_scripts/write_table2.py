"""Write Table 2: hard labels against distillation."""

from pathlib import Path

from gendist.analysis.report.table2 import write_table2
from gendist.jobs.job_script import run_job

with run_job(snakemake, "table2"):
    write_table2(
        Path(snakemake.input.metrics),
        student=snakemake.params.student,
        counts=snakemake.params.counts,
        main=snakemake.params.main,
        out_csv=Path(snakemake.output.csv),
        out_md=Path(snakemake.output.md),
    )
