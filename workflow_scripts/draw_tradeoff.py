"""Draw accuracy against size and latency."""

from pathlib import Path

from gendist.analysis.report.tradeoff_figure import draw_tradeoff
from gendist.jobs.script import logged

with logged(snakemake.log[0], "tradeoff"):
    draw_tradeoff(
        Path(snakemake.input.metrics),
        Path(snakemake.input.costs),
        snakemake.params.counts,
        snakemake.params.main,
        Path(snakemake.output.svg),
        Path(snakemake.output.png),
        Path(snakemake.output.csv),
    )
