"""Write the gains of distillation and of generated rows."""

from pathlib import Path

from gendist.analysis.report.gains_table import write_gains
from gendist.jobs.script import logged

with logged(snakemake.log[0], "gains"):
    write_gains(
        Path(snakemake.input.metrics),
        snakemake.params.students,
        snakemake.params.counts,
        snakemake.params.main,
        snakemake.params.variants,
        Path(snakemake.output.csv),
        Path(snakemake.output.md),
    )
