"""Draw the quality of every pool."""

from pathlib import Path

from gendist.analysis.quality.quality_figure import draw_quality
from gendist.jobs.job_script import run_job

with run_job(snakemake, "quality figure"):
    draw_quality(
        [Path(p) for p in snakemake.input.pools],
        out_svg=Path(snakemake.output.svg),
        out_png=Path(snakemake.output.png),
        out_csv=Path(snakemake.output.csv),
        out_parquet=Path(snakemake.output.parquet),
    )
