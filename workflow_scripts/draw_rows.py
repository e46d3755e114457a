"""Draw accuracy against generated rows, unlabelled rows, and both."""

from pathlib import Path

from gendist.analysis.report.rows_figure import draw_rows
from gendist.jobs.job_script import run_job

with run_job(snakemake, "rows"):
    draw_rows(
        Path(snakemake.input.metrics),
        student=snakemake.params.student,
        counts=snakemake.params.counts,
        main=snakemake.params.main,
        out_svg=Path(snakemake.output.svg),
        out_png=Path(snakemake.output.png),
        out_csv=Path(snakemake.output.csv),
    )
