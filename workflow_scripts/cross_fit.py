"""Score held-out training rows by cross-fitting students."""

from pathlib import Path

from gendist.config.student_settings import Student, Training
from gendist.jobs.job_script import run_job
from gendist.stages.export.cross_fit import cross_fit
from gendist.stages.students.job_inputs import row_files

names = snakemake.wildcards
with run_job(snakemake, f"{names.dataset} {names.student} {names.regime} held out"):
    cross_fit(
        Path(snakemake.output[0]),
        embeddings=Path(snakemake.params.embeddings),
        regime=names.regime,
        variant=names.variant,
        student=Student(**snakemake.params.student),
        training=Training(**snakemake.params.training),
        folds=snakemake.params.folds,
        seed=snakemake.params.seed,
        threads=snakemake.threads,
        **row_files(snakemake),
    )
