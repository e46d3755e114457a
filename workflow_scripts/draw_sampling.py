"""Draw the comparison of sampling strategies."""

from pathlib import Path

from gendist.analysis.report.sampling_figure import draw_sampling
from gendist.jobs.script import logged

with logged(snakemake.log[0], "sampling"):
    draw_sampling(
        Path(snakemake.input.metrics),
        snakemake.params.system,
        snakemake.params.samplings,
        snakemake.params.counts,
        snakemake.params.main,
        Path(snakemake.output.svg),
        Path(snakemake.output.png),
        Path(snakemake.output.csv),
        Path(snakemake.output.parquet),
    )
