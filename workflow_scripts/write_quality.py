"""Write the quality table of all pools."""

from pathlib import Path

from gendist.analysis.quality.quality_table import StudentPredictions, write_quality
from gendist.jobs.job_script import run_job

with run_job(snakemake, "quality"):
    seeds = snakemake.params.seeds
    predictions = [Path(p) for p in snakemake.input.predictions]
    students = {
        dataset: StudentPredictions(predictions[i * seeds : (i + 1) * seeds], Path(snakemake.input.logits[i]))
        for i, dataset in enumerate(snakemake.params.datasets)
    }
    write_quality(
        [Path(p) for p in snakemake.input.pools],
        students=students,
        system=snakemake.params.system,
        out_csv=Path(snakemake.output.csv),
        out_md=Path(snakemake.output.md),
    )
