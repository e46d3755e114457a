"""Draw accuracy against size and latency."""

from pathlib import Path

from gendist.analysis.report.tradeoff_figure import draw_tradeoff
from gendist.jobs.job_script import run_job

with run_job(snakemake, "tradeoff"):
    draw_tradeoff(
        Path(snakemake.input.metrics),
        Path(snakemake.input.costs),
        counts=snakemake.params.counts,
        main=snakemake.params.main,
        out_svg=Path(snakemake.output.svg),
        out_png=Path(snakemake.output.png),
        out_csv=Path(snakemake.output.csv),
    )
