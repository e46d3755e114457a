"""Draw the comparison of sampling strategies."""

from pathlib import Path

from gendist.analysis.report.sampling_figure import draw_sampling
from gendist.jobs.job_script import run_job

with run_job(snakemake, "sampling"):
    draw_sampling(
        Path(snakemake.input.metrics),
        system=snakemake.params.system,
        samplings=snakemake.params.samplings,
        counts=snakemake.params.counts,
        main=snakemake.params.main,
        out_svg=Path(snakemake.output.svg),
        out_png=Path(snakemake.output.png),
        out_csv=Path(snakemake.output.csv),
        out_parquet=Path(snakemake.output.parquet),
    )
