"""Write the gains of distillation and of generated rows."""

from pathlib import Path

from gendist.analysis.report.gains_table import write_gains
from gendist.jobs.job_script import run_job

with run_job(snakemake, "gains"):
    write_gains(
        Path(snakemake.input.metrics),
        students=snakemake.params.students,
        counts=snakemake.params.counts,
        main=snakemake.params.main,
        variants=snakemake.params.variants,
        out_csv=Path(snakemake.output.csv),
        out_md=Path(snakemake.output.md),
    )
