"""Draw Figure 2: accuracy against the number of synthetic rows."""

from pathlib import Path

from gendist.analysis.report.figure2 import draw_figure2
from gendist.jobs.job_script import run_job

with run_job(snakemake, "figure2"):
    draw_figure2(
        Path(snakemake.input.metrics),
        student=snakemake.params.student,
        counts=snakemake.params.counts,
        main=snakemake.params.main,
        out_svg=Path(snakemake.output.svg),
        out_png=Path(snakemake.output.png),
        out_csv=Path(snakemake.output.csv),
        out_parquet=Path(snakemake.output.parquet),
    )
