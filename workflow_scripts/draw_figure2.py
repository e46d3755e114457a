"""Draw Figure 2: accuracy against the number of synthetic rows."""

from pathlib import Path

from gendist.analysis.report.figure2 import draw_figure2
from gendist.jobs.job_script import logged

with logged(snakemake.log[0], "figure2"):
    draw_figure2(
        Path(snakemake.input.metrics),
        snakemake.params.student,
        snakemake.params.counts,
        snakemake.params.main,
        Path(snakemake.output.svg),
        Path(snakemake.output.png),
        Path(snakemake.output.csv),
        Path(snakemake.output.parquet),
    )
