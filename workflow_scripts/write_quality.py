"""Write the quality of every pool as one table."""

from pathlib import Path

from gendist.analysis.quality.quality_table import StudentPredictions, write_quality
from gendist.jobs.script import logged

with logged(snakemake.log[0], "quality"):
    seeds = snakemake.params.seeds
    predictions = [Path(p) for p in snakemake.input.predictions]
    students = {
        dataset: StudentPredictions(predictions[i * seeds : (i + 1) * seeds], Path(snakemake.input.logits[i]))
        for i, dataset in enumerate(snakemake.params.datasets)
    }
    write_quality(
        [Path(p) for p in snakemake.input.pools],
        students,
        snakemake.params.system,
        Path(snakemake.output.csv),
        Path(snakemake.output.md),
    )
