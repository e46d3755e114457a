"""Draw accuracy against generated rows, unlabelled rows, and both."""

from pathlib import Path

from gendist.analysis.report.rows_figure import draw_rows
from gendist.jobs.script import logged

with logged(snakemake.log[0], "rows"):
    draw_rows(
        Path(snakemake.input.metrics),
        snakemake.params.student,
        snakemake.params.counts,
        snakemake.params.main,
        Path(snakemake.output.svg),
        Path(snakemake.output.png),
        Path(snakemake.output.csv),
    )
