"""Draw the quality of every pool."""

from pathlib import Path

from gendist.analysis.quality.quality_figure import draw_quality
from gendist.jobs.script import logged

with logged(snakemake.log[0], "quality figure"):
    draw_quality(
        [Path(p) for p in snakemake.input.pools],
        Path(snakemake.output.svg),
        Path(snakemake.output.png),
        Path(snakemake.output.csv),
        Path(snakemake.output.parquet),
    )
